/** How far a replication into PostgreSQL is: from its checkpoint and statistics in the target, and from the source. */

import type { Session } from '../../../databases/postgres/open-session.ts';
import { type SourceProgress, sourceProgress } from '../source-progress.ts';
import type { ReplicateStatus, TableStatistics } from '../status.ts';
import { type ReplicateEnvironment, surroundingsOf } from '../surroundings.ts';
import { Sides } from './sides.ts';
import { doneSteps, type LoadPlan, readState, type TargetState } from './target-state.ts';

/** @see replicateStatus */
export async function postgresStatus(
  options: { readonly to: string; readonly name: string; readonly from?: string | undefined },
  environment: ReplicateEnvironment = {},
): Promise<ReplicateStatus> {
  const { to, name, from } = options;
  const { env, clock, signal } = surroundingsOf(environment);
  const sides = new Sides({ from: from ?? to, to }, env, signal);
  await using target = await sides.openTarget('read its checkpoint');
  const { state, tables } = await sides.within('target', 'read its checkpoint', async () => {
    const found = await readState(target.client, name);
    return { state: found, tables: found === undefined ? [] : await tablesOf(target, name, found) };
  });
  const lastCommitMs =
    state?.lastCommitMicros === undefined ? undefined : Number(BigInt(state.lastCommitMicros) / 1000n);
  const server =
    from === undefined ? undefined : await serverOf(sides, name, state, lastCommitMs, clock.now());
  return {
    job: name,
    epoch: Math.max(0, state?.epoch ?? 0),
    lsn: state?.lsn,
    lastCommitMs,
    tables: tables.toSorted((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1)),
    ...(server === undefined ? {} : { server }),
  };
}

function nameOf({ schema, table }: { readonly schema: string; readonly table: string }): string {
  return `${schema}\0${table}`;
}

async function tablesOf(target: Session, job: string, state: TargetState): Promise<TableStatistics[]> {
  const { rows } = await target.client.query<Record<string, string | number | null>>(
    `SELECT schema, name, loaded::float8 AS loaded, inserts::float8 AS inserts, updates::float8 AS updates,
            deletes::float8 AS deletes, truncations::float8 AS truncations, ddls::float8 AS ddls, last_lsn::text AS last_lsn
     FROM longshore.statistics WHERE job = $1`,
    [job],
  );
  const statistics = new Map(rows.map((row) => [`${row['schema']}\0${row['name']}`, row]));
  const following = state.tables.map(({ schema, name, untilLsn }): TableStatistics => {
    const row = statistics.get(`${schema}\0${name}`);
    const number = (column: string): number => Number(row?.[column] ?? 0);
    return {
      ...nothing(schema, name),
      state: untilLsn !== undefined ? 'left' : state.epoch === 0 ? 'loaded' : 'following',
      fullLoadRows: number('loaded'),
      inserts: number('inserts'),
      updates: number('updates'),
      deletes: number('deletes'),
      ddls: number('ddls'),
      truncations: number('truncations'),
      lastLsn: row?.['last_lsn'] == null ? undefined : String(row['last_lsn']),
    };
  });
  if (state.plan === undefined) return following;
  const loading = await loadingOf(target, job, state.plan);
  const names = new Set(loading.map(nameOf));
  return [...following.filter((table) => !names.has(nameOf(table))), ...loading];
}

/** Of a load that is under way, or that died. */
async function loadingOf(target: Session, job: string, plan: LoadPlan): Promise<TableStatistics[]> {
  const done = await doneSteps(target.client, job, plan.id);
  return plan.tables.map(({ table, chunks }) => {
    const copied = chunks.flatMap(({ oid, number }) => done.get(`chunk ${oid}-${number}`) ?? []);
    return {
      ...nothing(table.schema, table.name),
      state: 'loading',
      fullLoadRows: copied.reduce((sum, { rows }) => sum + rows, 0),
      bytes: copied.reduce((sum, { bytes }) => sum + bytes, 0),
      chunks: { done: copied.length, all: chunks.length },
    };
  });
}

function nothing(schema: string, table: string): TableStatistics {
  return {
    schema,
    table,
    state: 'loading',
    fullLoadRows: 0,
    inserts: 0,
    updates: 0,
    deletes: 0,
    ddls: 0,
    truncations: 0,
    lastLsn: undefined,
    lastCommitMs: undefined,
    differences: undefined,
    files: 0,
    bytes: 0,
  };
}

async function serverOf(
  sides: Sides,
  name: string,
  state: TargetState | undefined,
  lastCommitMs: number | undefined,
  nowMs: number,
): Promise<SourceProgress> {
  await using session = await sides.openSource('ask how far it is');
  return await sides.within('source', 'ask how far it is', () =>
    sourceProgress(session.client, name, state?.lsn, lastCommitMs, nowMs),
  );
}
