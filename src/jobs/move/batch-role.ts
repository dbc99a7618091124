/**
 * What the role of S3 Batch jobs, and that of their Lambda function, may do. Pure.
 * Reference: "Granting permissions for Batch Operations" of the Amazon S3 User Guide.
 */

import { parseStoreUrl } from '../../config/store-url.ts';
import { batchPlace } from './batch-place.ts';
import { allow, type IamPolicy, type IamStatement, statement } from './iam-policy.ts';
import { settingsRules } from './key-rules.ts';
import type { MoveSettings } from './settings.ts';

export interface BatchRolePolicies {
  /** Who may take the role on. */
  readonly trust: {
    readonly Version: '2012-10-17';
    readonly Statement: readonly [
      {
        readonly Effect: 'Allow';
        readonly Principal: { readonly Service: string };
        readonly Action: 'sts:AssumeRole';
      },
    ];
  };
  /** Of the role that `batch.roleArn` names. */
  readonly role: IamPolicy;
  /** Of the function's own role; only with `batch.lambdaArn`. */
  readonly function?: IamPolicy;
}

/** Undefined where no jobs are asked for. */
export function batchRolePolicies(settings: MoveSettings): BatchRolePolicies | undefined {
  const { batch, copyWith, tags } = settings;
  const from = parseStoreUrl(settings.from);
  const to = parseStoreUrl(settings.to);
  if (copyWith !== 's3-batch' || batch === undefined || from.kind !== 's3' || to.kind !== 's3')
    return undefined;
  const rules = settingsRules(settings.rules, from.prefix, to.prefix);
  const copying = (keepTags: boolean): IamStatement[] => {
    const may = (action: string): string[] => (keepTags ? [action] : []);
    return [
      allow('ReadSource', from, rules.sourcePrefixes, ['s3:GetObject', ...may('s3:GetObjectTagging')]),
      allow('WriteTarget', to, rules.targetPrefixes, ['s3:PutObject', ...may('s3:PutObjectTagging')]),
    ];
  };
  const place = batchPlace(batch, to);
  const files = [allow('BatchFiles', place, [place.prefix], ['s3:GetObject', 's3:PutObject'])];
  const { lambdaArn } = batch;
  return {
    trust: {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { Service: 'batchoperations.s3.amazonaws.com' },
          Action: 'sts:AssumeRole',
        },
      ],
    },
    // The copy operation of a job always keeps tags.
    role: policy(
      lambdaArn === undefined
        ? [...copying(true), ...files]
        : [statement('InvokeFunction', ['lambda:InvokeFunction'], [lambdaArn, `${lambdaArn}:*`]), ...files],
    ),
    ...(lambdaArn === undefined ? {} : { function: policy(copying(tags)) }),
  };
}

function policy(statements: readonly IamStatement[]): IamPolicy {
  return { Version: '2012-10-17', Statement: statements };
}
