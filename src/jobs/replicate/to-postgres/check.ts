/** Connects to both databases of a replication into PostgreSQL, and says what is in the way, with its fix. */

import { LongshoreError, messageOf } from '../../../errors.ts';
import type { ReplicateCheck, ReplicateFinding } from '../check.ts';
import type { ReplicateOptions } from '../settings.ts';
import { type ReplicateEnvironment, surroundingsOf } from '../surroundings.ts';
import { planToPostgres } from './plan.ts';
import { Sides, silenceTriggers } from './sides.ts';

/** @see checkReplication */
export async function checkPostgres(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<ReplicateCheck> {
  const { env, signal } = surroundingsOf(environment);
  const sides = new Sides(options, env, signal);
  const findings = await checkTarget(sides);
  // A target that cannot be reached is said once.
  if (findings.every(({ level }) => level !== 'error')) findings.push(...(await checkPlan(options, env)));
  const errors = findings.filter(({ level }) => level === 'error').length;
  return { from: sides.source.name, to: sides.target.name, findings, errors };
}

async function checkTarget(sides: Sides): Promise<ReplicateFinding[]> {
  const findings: ReplicateFinding[] = [];
  try {
    await using target = await sides.openTarget('check it');
    const { rows } = await sides.within('target', 'check it', () =>
      target.client.query<{ may_create: boolean }>(
        `SELECT has_database_privilege(current_database(), 'CREATE') AS may_create`,
      ),
    );
    if (rows[0]?.may_create !== true)
      findings.push({
        level: 'error',
        what: `the role may not make schemas in ${sides.target.name}`,
        fix: 'GRANT CREATE ON DATABASE … TO the role',
      });
    if (!(await silenceTriggers(target)))
      findings.push({
        level: 'warning',
        what: 'the role may not silence triggers and foreign keys in the target: changes are written one by one',
        fix: 'from PostgreSQL 15 on GRANT SET ON PARAMETER session_replication_role TO the role',
      });
  } catch (error) {
    findings.push(errorFinding(error));
  }
  return findings;
}

async function checkPlan(
  options: ReplicateOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ReplicateFinding[]> {
  try {
    const { problems, notices, tables } = await planToPostgres(options, env);
    const none = { level: 'error', what: 'no table is chosen', fix: 'choose some with --tables' } as const;
    return [
      ...(tables.length === 0 ? [none] : []),
      ...problems.map((problem) => ({ level: 'error' as const, ...problem })),
      ...(notices ?? []).map((what) => ({ level: 'info' as const, what, fix: '' })),
    ];
  } catch (error) {
    return [errorFinding(error)];
  }
}

function errorFinding(error: unknown): ReplicateFinding {
  const fix = error instanceof LongshoreError ? (error.hint ?? '') : '';
  return { level: 'error', what: messageOf(error), fix };
}
