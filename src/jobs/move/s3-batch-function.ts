/** The Lambda function of a move, for the user to create: written beside the journal, or printed. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseStoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import { lambdaSource } from '../../platforms/aws/s3-batch-lambda.ts';
import type { MoveContext } from './context.ts';
import { settingsRules } from './key-rules.ts';
import type { MoveSettings } from './settings.ts';

/** @returns where it was written */
export function keepLambdaSource({ journal, settings }: MoveContext): string {
  const path = join(journal.folder, 'index.mjs');
  writeFileSync(path, lambdaOf(settings));
  return path;
}

/**
 * The source of the function, bound to the buckets and target prefixes of the settings.
 * @throws CONFIG_INVALID where a side is no bucket
 */
export function lambdaOf(settings: MoveSettings): string {
  const from = parseStoreUrl(settings.from);
  const to = parseStoreUrl(settings.to);
  if (from.kind !== 's3' || to.kind !== 's3') {
    throw new LongshoreError('CONFIG_INVALID', 'a function of Lambda copies between buckets of S3', {
      hint: 'name s3:// URLs with --from and --to',
    });
  }
  return lambdaSource({
    sourceBucket: from.bucket,
    targetBucket: to.bucket,
    targetPrefixes: settingsRules(settings.rules, from.prefix, to.prefix).targetPrefixes,
    keepTags: settings.tags,
  });
}
