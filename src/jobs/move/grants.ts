/** The least rights that a move needs: an IAM policy for the buckets, SQL for the tables. Pure. */

import { type BatchRolePolicies, batchRolePolicies } from './batch-role.ts';
import { type IamPolicy, iamPolicy } from './iam-policy.ts';
import type { MoveSettings } from './settings.ts';
import { type DescribedColumn, type SqlGrants, sqlGrants } from './sql-grants.ts';

export interface GrantOptions {
  /** Also allow the markers by which conditions are probed. */
  readonly probe?: boolean | undefined;
  /** Name of the database role. Default: `longshore`. */
  readonly role?: string | undefined;
  /** What database URLs leave out. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

export interface Grants {
  /** To be printed as JSON. */
  readonly policy: IamPolicy;
  /** For the roles of S3 Batch jobs; only with `copyWith: s3-batch`. */
  readonly batch?: BatchRolePolicies;
  /** One entry a database; statements with `<password>` to be filled in. */
  readonly sql: readonly SqlGrants[];
  /** What depends on things that only the owner of the buckets knows, and what is left out on purpose. */
  readonly notes: readonly string[];
}

/**
 * The rights that the settings need and nothing more.
 *
 * @param columns described columns (those of an opened move are), so that `SELECT` can be limited to the key and the
 *   column; without them it is on the whole table
 * @throws {LongshoreError} URL_INVALID
 * @example
 * ```ts
 * import { grantsFor } from 'longshore';
 * const { policy, sql } = grantsFor(settings);
 * console.log(JSON.stringify(policy, undefined, 2), sql[0]?.statements.join('\n'));
 * ```
 */
export function grantsFor(
  settings: MoveSettings,
  columns: readonly DescribedColumn[] = [],
  options: GrantOptions = {},
): Grants {
  const { probe = false, role = 'longshore', env = {} } = options;
  const notes: string[] = [];
  if (settings.encryption && (settings.from.startsWith('s3:') || settings.to.startsWith('s3:'))) {
    notes.push(
      'where the source is encrypted with SSE-KMS: kms:Decrypt on its key; where the target is, or its encryption is kept: kms:GenerateDataKey and kms:Decrypt on the key',
    );
  }
  if (!probe && settings.to.startsWith('s3:')) {
    notes.push(
      'without the right to write markers, conditions are not probed and not relied upon: listings stand in for them; --probe adds the markers',
    );
  }
  notes.push(
    'longshore undo also needs s3:PutObject on the source, and s3:DeleteObject on the target, under the same prefixes',
  );
  const batch = batchRolePolicies(settings);
  return {
    policy: iamPolicy(settings, probe),
    ...(batch === undefined ? {} : { batch }),
    sql: sqlGrants(settings, columns, role, env),
    notes,
  };
}
