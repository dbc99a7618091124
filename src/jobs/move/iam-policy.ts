/** The least IAM policy with which a move runs. Pure. */

import { parseStoreUrl, type StoreUrl } from '../../config/store-url.ts';
import { batchPlace } from './batch-place.ts';
import { settingsRules } from './key-rules.ts';
import type { MoveSettings } from './settings.ts';

/** As IAM writes it. */
export interface IamStatement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: {
    readonly StringLike?: { readonly 's3:prefix': readonly string[] };
    readonly StringEquals?: { readonly 'iam:PassedToService': string };
  };
}

export interface IamPolicy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly IamStatement[];
}

export type S3Url = Extract<StoreUrl, { kind: 's3' }>;

/**
 * What the options need and nothing more:
 *
 * | action | on | when |
 * | --- | --- | --- |
 * | ListBucket | both, under the prefixes | always; the target also under the source's prefix, to see one bucket under two names |
 * | GetObject | source, target | always: copies read the source, proofs both |
 * | DeleteObject | source | `delete` is not `never` |
 * | PutObject, AbortMultipartUpload | target | always |
 * | GetObjectTagging / PutObjectTagging | source / target | tags are kept |
 * | GetObjectAcl / PutObjectAcl | source / target | ACLs are kept |
 * | GetObject | the folder of the inventory | `inventory` |
 * | CreateJob, DescribeJob, PassRole | jobs of S3 Batch, their role | `copyWith` is `s3-batch` |
 * | PutObject, GetObject, ListBucket | the folder of their manifests and reports | `copyWith` is `s3-batch` |
 * | markers: all of these | `<prefix>.longshore-probe-*` on both | `probe` |
 *
 * S3 answers 404 and not 403 for an object that does not exist only where it may be listed; it takes the key for
 * `s3:prefix` then, so that the conditions do not hide what is absent.
 */
export function iamPolicy(settings: MoveSettings, probe: boolean): IamPolicy {
  const from = parseStoreUrl(settings.from);
  const to = parseStoreUrl(settings.to);
  const rules = settingsRules(settings.rules, from.prefix, to.prefix);
  const { sourcePrefixes: sources, targetPrefixes: targets } = rules;
  const statements: IamStatement[] = [];
  if (from.kind === 's3') {
    const marker = probe && to.kind === 's3' ? [markers(to.prefix)] : [];
    statements.push(listing('ListSource', from, [from.prefix, ...marker]));
  }
  if (to.kind === 's3') {
    statements.push(listing('ListTarget', to, [to.prefix, ...(from.kind === 's3' ? [from.prefix] : [])]));
  }
  const { tags, acl } = settings;
  const may = (condition: boolean, ...actions: string[]): string[] => (condition ? actions : []);
  if (from.kind === 's3') {
    statements.push(
      allow('ReadSource', from, sources, [
        's3:GetObject',
        ...may(tags, 's3:GetObjectTagging'),
        ...may(acl, 's3:GetObjectAcl'),
      ]),
    );
    if (settings.delete !== 'never')
      statements.push(allow('DeleteSource', from, sources, ['s3:DeleteObject']));
  }
  if (to.kind === 's3') {
    statements.push(
      allow('WriteTarget', to, targets, [
        's3:PutObject',
        's3:GetObject',
        's3:AbortMultipartUpload',
        ...may(tags, 's3:PutObjectTagging'),
        ...may(acl, 's3:PutObjectAcl'),
      ]),
    );
  }
  statements.push(...inventoryStatements(settings), ...batchStatements(settings, to));
  if (probe) {
    const actions = [
      's3:PutObject',
      's3:GetObject',
      's3:DeleteObject',
      's3:AbortMultipartUpload',
      ...may(tags, 's3:GetObjectTagging', 's3:PutObjectTagging'),
      ...may(acl, 's3:GetObjectAcl', 's3:PutObjectAcl'),
    ];
    if (from.kind === 's3') {
      statements.push(allow('ProbeSource', from, [markers(from.prefix)], actions));
    }
    if (to.kind === 's3') statements.push(allow('ProbeTarget', to, [markers(to.prefix)], actions));
  }
  return { Version: '2012-10-17', Statement: statements };
}

/** The files of an inventory lie in a folder beside that of its manifest. */
function inventoryStatements({ inventory }: MoveSettings): IamStatement[] {
  const url = inventory === undefined ? undefined : parseStoreUrl(inventory);
  if (url?.kind !== 's3') return [];
  const up = url.prefix.endsWith('/manifest.json') ? 2 : 1;
  const folder = url.prefix.split('/').slice(0, -up).join('/');
  const prefixes = [folder === '' ? '' : `${folder}/`];
  return [allow('ReadInventory', url, prefixes, ['s3:GetObject']), listing('ListInventory', url, prefixes)];
}

/** What the caller needs to have jobs of S3 Batch run; what their role needs is {@link batchRolePolicies}'. */
function batchStatements({ copyWith, batch }: MoveSettings, to: StoreUrl): IamStatement[] {
  if (copyWith !== 's3-batch' || batch === undefined || to.kind !== 's3') return [];
  const place = batchPlace(batch, to);
  const partition = batch.roleArn.split(':')[1];
  return [
    allow('BatchFiles', place, [place.prefix], ['s3:PutObject', 's3:GetObject', 's3:AbortMultipartUpload']),
    listing('ListBatchFiles', place, [place.prefix]),
    statement('CreateJobs', ['s3:CreateJob'], ['*']),
    statement('DescribeJobs', ['s3:DescribeJob'], [`arn:${partition}:s3:*:${batch.accountId}:job/*`]),
    {
      ...statement('PassRole', ['iam:PassRole'], [batch.roleArn]),
      Condition: { StringEquals: { 'iam:PassedToService': 'batchoperations.s3.amazonaws.com' } },
    },
  ];
}

export function statement(
  sid: string,
  actions: readonly string[],
  resources: readonly string[],
): IamStatement {
  return { Sid: sid, Effect: 'Allow', Action: actions, Resource: resources };
}

function markers(prefix: string): string {
  return `${prefix}.longshore-probe-`;
}

function listing(sid: string, url: S3Url, prefixes: readonly string[]): IamStatement {
  const everything = prefixes.includes('');
  const distinct = [...new Set(prefixes.map((prefix) => `${escaped(prefix)}*`))];
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: ['s3:ListBucket'],
    Resource: [`${arn(url)}`],
    ...(everything ? {} : { Condition: { StringLike: { 's3:prefix': distinct } } }),
  };
}

/** Actions on the objects under some prefixes. */
export function allow(
  sid: string,
  url: S3Url,
  prefixes: readonly string[],
  actions: readonly string[],
): IamStatement {
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: actions,
    Resource: prefixes.map((prefix) => `${arn(url)}/${escaped(prefix)}*`),
  };
}

function arn({ bucket, region = '' }: S3Url): string {
  const partition = region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
  return `arn:${partition}:s3:::${bucket}`;
}

/** `*`, `?` and `$` have a meaning in policies; `${*}` stands for the character itself. */
function escaped(prefix: string): string {
  return prefix.replace(/[*?$]/g, '${$&}');
}
