/** Writes the Lambda function of a move beside its journal, for the user to create it. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lambdaSource } from '../../platforms/aws/s3-batch-lambda.ts';
import type { MoveContext, MoveScope } from './context.ts';

/** @returns where it was written */
export function keepLambdaSource(context: MoveContext): string {
  const path = join(context.journal.folder, 'index.mjs');
  writeFileSync(path, lambdaOf(context));
  return path;
}

/** The source of the function for a move. */
export function lambdaOf(scope: Pick<MoveScope, 'source' | 'target' | 'rules' | 'settings'>): string {
  return lambdaSource({
    sourceBucket: scope.source.bucket,
    targetBucket: scope.target.bucket,
    targetPrefixes: scope.rules.targetPrefixes,
    keepTags: scope.settings.tags,
  });
}
