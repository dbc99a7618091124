/** What a plan or a check has to say, each with its fix; decided from facts alone. */

import type { ColumnFacts } from '../../databases/database.ts';
import { type ErrorCode, LongshoreError } from '../../errors.ts';
import type { BucketSettings } from '../../stores/object-store.ts';
import { columnProblem } from './open-scope.ts';
import type { MoveSettings } from './settings.ts';

/**
 * - `error`: the move would not start, or would leave something undone
 * - `warning`: it would work otherwise than one may expect
 * - `info`: worth knowing
 */
export interface Finding {
  readonly level: 'error' | 'warning' | 'info';
  readonly what: string;
  readonly fix: string;
  /** The IAM action that is missing. */
  readonly action?: string | undefined;
  readonly code?: ErrorCode | undefined;
}

/** Storage classes whose objects must be restored before they can be copied. */
export const ARCHIVED_CLASSES: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

/** Objects a versioned bucket keeps after deletion, locks that refuse it, keys that copies need. */
export function bucketFindings(
  side: 'source' | 'target',
  name: string,
  bucket: BucketSettings,
  settings: MoveSettings,
): Finding[] {
  const findings: Finding[] = [];
  const deletes = settings.delete !== 'never';
  if (side === 'source' && deletes && bucket.versioning !== undefined && bucket.versioning !== 'off') {
    findings.push({
      level: 'warning',
      what: `${name} is versioned (${bucket.versioning}): deletion leaves delete markers, and the bytes stay and are billed`,
      fix: 'add a lifecycle rule with NoncurrentVersionExpiration once the move is verified',
    });
  }
  if (side === 'source' && deletes && bucket.objectLock === true) {
    findings.push({
      level: 'warning',
      what: `${name} has object lock: locked versions stay until their retention ends`,
      fix: 'nothing is lost; use --delete never, or let the versions expire by a lifecycle rule',
    });
  }
  if (side === 'target' && bucket.objectLock === true) {
    findings.push({
      level: 'info',
      what: `${name} has object lock: copies get its default retention, not that of their sources`,
      fix: 'set the default retention of the bucket before the move',
    });
  }
  if (bucket.encryption?.startsWith('aws:kms')) {
    const action = side === 'source' ? 'kms:Decrypt' : 'kms:GenerateDataKey';
    findings.push({
      level: 'info',
      what: `${name} encrypts with ${bucket.encryption}${bucket.kmsKeyId === undefined ? '' : ` (${bucket.kmsKeyId})`}: ETags are no MD5s, so copies are proven by checksum or by reading`,
      fix: `allow ${action} on the key`,
      action,
    });
  }
  return findings;
}

/** What is said of a column that can be rewritten, or the one thing that keeps it from being rewritten. */
export function columnFindings(facts: ColumnFacts): Finding[] {
  const problem = columnProblem(facts);
  if (problem !== undefined) return [{ level: 'error', ...problem, code: 'CHECK_FAILED' }];
  const table = facts.name.slice(0, facts.name.lastIndexOf('.'));
  const findings: Finding[] = [];
  if (facts.primaryKey.length === 0) {
    findings.push({
      level: 'warning',
      what: `${table} has no primary key: its rows are found by their old value, and cannot be named one by one in reports`,
      fix: `ALTER TABLE ${table} ADD PRIMARY KEY (…)`,
    });
  }
  if (facts.updateTriggers.length > 0) {
    findings.push({
      level: 'warning',
      what: `${table} has triggers that fire on each changed row: ${facts.updateTriggers.join(', ')}`,
      fix: 'make sure that they may run for every row of the move, or disable them for its time',
    });
  }
  if (facts.updateTriggers.length > 0 && facts.primaryKey.length === 0) {
    findings.push({
      level: 'warning',
      what: `${table} has triggers and no primary key: what they leave of new values is checked by counting the rows that hold each`,
      fix: `ALTER TABLE ${table} ADD PRIMARY KEY (…), so that every row is read again by its key, or disable the triggers`,
    });
  }
  if (facts.within !== 'value') {
    findings.push({
      level: 'info',
      what: `${facts.name} holds references inside ${facts.within === 'json' ? 'documents' : facts.within === 'array' ? 'arrays' : 'text'}: every row is read`,
      fix: 'nothing to do',
    });
  } else if (!facts.indexed) {
    findings.push({
      level: 'info',
      what: `${facts.name} has no index: rows are found by reading the table in ranges of its key`,
      fix: `nothing to do; CREATE INDEX ON ${table} (${facts.ref.column}) lets deletion ask for single rows`,
    });
  }
  return findings;
}

/** @param tooLong of `looked` values that would change, how many would not fit */
export function lengthFinding(facts: ColumnFacts, tooLong: number, looked: number): Finding[] {
  if (tooLong === 0) return [];
  const table = facts.name.slice(0, facts.name.lastIndexOf('.'));
  return [
    {
      level: 'error',
      what: `${count(tooLong)} of ${count(looked)} new values are longer than the ${facts.lengthMax} characters of ${facts.name}`,
      fix: `ALTER TABLE ${table} and give ${facts.ref.column} a longer type, or choose a shorter target prefix`,
    },
  ];
}

/** Whether a value fits; lengths are in characters (code points), as databases count them. */
export function fits(facts: ColumnFacts, value: string): boolean {
  if (facts.lengthMax === undefined || value.length <= facts.lengthMax) return true;
  let points = 0;
  for (const _ of value) points++;
  return points <= facts.lengthMax;
}

/** @param classes how many objects of each archived class were seen among `looked` */
export function archivedFinding(classes: ReadonlyMap<string, number>, looked: number): Finding[] {
  if (classes.size === 0) return [];
  const seen = [...classes].map(([name, n]) => `${count(n)} in ${name}`).join(', ');
  return [
    {
      level: 'warning',
      what: `of ${count(looked)} objects ${seen} must be restored before they can be copied`,
      fix: 'restore them (s3:RestoreObject) before the move; until then they stay where they are, with their rows',
      action: 's3:RestoreObject',
    },
  ];
}

const LAG_MS_SLOW = 10_000;

/** @param lagMs undefined where there is no replica or it cannot be seen */
export function lagFinding(database: string, lagMs: number | undefined, settings: MoveSettings): Finding[] {
  if (lagMs === undefined) {
    if (settings.replicaLagMax === undefined) return [];
    return [
      {
        level: 'warning',
        what: `the replicas of ${database} cannot be seen, so that --replica-lag-max has no effect`,
        fix: 'PostgreSQL: GRANT pg_monitor TO the role; MySQL and MariaDB primaries do not know it',
      },
    ];
  }
  const most = settings.replicaLagMax ?? LAG_MS_SLOW;
  if (lagMs <= most) return [];
  return [
    {
      level: 'warning',
      what: `a replica of ${database} is ${Math.round(lagMs / 1000)} s behind`,
      fix:
        settings.replicaLagMax === undefined
          ? 'let rows wait for it with --replica-lag-max 10s'
          : 'rows would wait until it has caught up',
    },
  ];
}

/** S3 refuses requests that are signed 15 minutes off; Longshore corrects its clock by the server's. */
const SKEW_MS_WORTH_A_WORD = 60_000;

export function skewFinding(name: string, skewMs: number): Finding[] {
  if (Math.abs(skewMs) < SKEW_MS_WORTH_A_WORD) return [];
  return [
    {
      level: 'warning',
      what: `this machine's clock is ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead of' : 'behind'} that of ${name}`,
      fix: 'synchronise it (NTP); requests are signed by the time of the server meanwhile',
    },
  ];
}

/** An error as a finding; what is no {@link LongshoreError} is a defect and is thrown on. */
export function findingOf(error: unknown): Finding {
  if (!(error instanceof LongshoreError)) throw error;
  const action = error.context['action'];
  return {
    level: 'error',
    what: error.message,
    fix: error.hint ?? 'see the message',
    code: error.code,
    ...(typeof action === 'string' && error.code === 'STORE_DENIED'
      ? { action: deniedAction(error.message) ?? action }
      : {}),
  };
}

/** The action that AWS names in its message, which may be one of the key's and not of the bucket's. */
function deniedAction(message: string): string | undefined {
  return /not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)/.exec(message)?.[1];
}

const LEVELS = { error: 0, warning: 1, info: 2 } as const;

/** Errors first, each thing said once. */
export function sortFindings(findings: readonly Finding[]): Finding[] {
  const said = new Map<string, Finding>();
  for (const finding of findings) {
    const before = said.get(finding.what);
    if (before === undefined || LEVELS[finding.level] < LEVELS[before.level]) said.set(finding.what, finding);
  }
  return [...said.values()].sort((a, b) => LEVELS[a.level] - LEVELS[b.level]);
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
