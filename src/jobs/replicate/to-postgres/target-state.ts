/**
 * What a replication keeps in its target, in the schema `longshore`: its checkpoint, and the notes of a load. Each is
 * written in the transaction of the rows that it speaks of, so that both are there or neither is.
 *
 * | table | a row is | written |
 * | --- | --- | --- |
 * | `checkpoint` | a job: up to where its changes are applied, its tables, the plan of a load that is under way | with every landing |
 * | `chunks` | a step of that load: a chunk that is copied, an index that is built | with the chunk, with the index |
 * | `statistics` | a table of a job, with what was done to it | with every landing |
 */

import type pg from 'pg';
import { z } from 'zod';
import { formatLsn, type Lsn } from '../../../databases/postgres/lsn.ts';
import { LongshoreError } from '../../../errors.ts';
import { chunkSchema } from '../load-ledger.ts';
import { lsnSchema } from '../manifest.ts';

const count = z.number().int().nonnegative();

const columnSchema = z.strictObject({
  name: z.string(),
  /** Of the attribute, which stays with a column through a rename. */
  number: count,
  /** As `format_type` of the source names it, with its schema. */
  type: z.string(),
});

/** A table of the job. */
const jobTableSchema = z.strictObject({
  schema: z.string(),
  name: z.string(),
  /** Of the source; another table of the same name has another one. */
  oid: count,
  /** Changes that committed at or behind this are applied; what is before is in its full load. */
  fromLsn: lsnSchema,
  /** Of a table that left the job: changes that committed before this are still applied. */
  untilLsn: lsnSchema.optional(),
  /** That changes have, in order. */
  columns: z.array(columnSchema),
});

const laterSchema = z.strictObject({
  what: z.string(),
  text: z.string(),
  orElse: z.string().optional(),
});

const planSchema = z.strictObject({
  /** Of this load, and of no other one. */
  id: z.string(),
  snapshot: z.strictObject({ name: z.string(), lsn: lsnSchema }),
  tables: z.array(
    z.strictObject({
      table: jobTableSchema,
      format: z.enum(['binary', 'text']),
      chunks: z.array(chunkSchema),
    }),
  ),
  /** Done when the rows are there. */
  later: z.array(z.array(z.array(laterSchema))),
  /** Take away what the load made. */
  drops: z.array(z.string()),
});

/** As `fromLsn` of a table: it is to be loaded, again. */
export const NOT_LOADED = 'FFFFFFFF/FFFFFFFF';

export type JobTable = z.output<typeof jobTableSchema>;
export type JobColumn = z.output<typeof columnSchema>;
export type LoadPlan = z.output<typeof planSchema>;

const stateSchema = z.object({
  systemId: z.string(),
  /** -1 before the first load is through. */
  epoch: z.number().int().min(-1),
  /** Undefined before the first load is through. */
  lsn: lsnSchema.optional(),
  lastCommitMicros: z.string().optional(),
  tables: z.array(jobTableSchema),
  plan: planSchema.optional(),
  /** What the job made in the target, in the order in which it goes. */
  drops: z.array(z.string()),
});

export type TargetState = Readonly<z.output<typeof stateSchema>>;

/** Undefined for a job that was never begun there. @throws JOURNAL_FOREIGN for what another program wrote */
export async function readState(client: pg.ClientBase, job: string): Promise<TargetState | undefined> {
  const { rows: there } = await client.query(`SELECT WHERE to_regclass('longshore.checkpoint') IS NOT NULL`);
  if (there.length === 0) return undefined;
  const { rows } = await client.query<Record<string, unknown>>(
    `SELECT system_id, epoch::float8 AS epoch, lsn::text AS lsn, last_commit_micros::text AS micros, tables, plan, drops
     FROM longshore.checkpoint WHERE job = $1`,
    [job],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const parsed = stateSchema.safeParse({
    systemId: row['system_id'],
    epoch: row['epoch'],
    lsn: row['lsn'] ?? undefined,
    lastCommitMicros: row['micros'] ?? undefined,
    tables: row['tables'],
    plan: row['plan'] ?? undefined,
    drops: row['drops'],
  });
  if (parsed.success) return parsed.data;
  throw new LongshoreError(
    'JOURNAL_FOREIGN',
    `longshore.checkpoint of the job ${job} is not what this job writes there`,
    { hint: 'restore it, or begin a job of another name' },
  );
}

const TABLES = `
CREATE SCHEMA IF NOT EXISTS longshore;
CREATE TABLE IF NOT EXISTS longshore.checkpoint (
  job text PRIMARY KEY, system_id text NOT NULL, lsn pg_lsn, epoch bigint NOT NULL, last_commit_micros bigint,
  tables jsonb NOT NULL, plan jsonb, drops jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS longshore.chunks (
  job text, load text, step text, rows bigint NOT NULL, bytes bigint NOT NULL, PRIMARY KEY (job, load, step));
CREATE TABLE IF NOT EXISTS longshore.statistics (
  job text, schema text, name text, loaded bigint NOT NULL DEFAULT 0, inserts bigint NOT NULL DEFAULT 0,
  updates bigint NOT NULL DEFAULT 0, deletes bigint NOT NULL DEFAULT 0, truncations bigint NOT NULL DEFAULT 0,
  ddls bigint NOT NULL DEFAULT 0, last_lsn pg_lsn, PRIMARY KEY (job, schema, name))`;

/** Notes that the job was begun, before anything else of it is made. */
export async function beginState(client: pg.ClientBase, job: string, systemId: string): Promise<void> {
  await client.query(TABLES);
  await client.query(
    `INSERT INTO longshore.checkpoint (job, system_id, epoch, tables, drops) VALUES ($1, $2, -1, '[]', '[]')
     ON CONFLICT (job) DO NOTHING`,
    [job, systemId],
  );
}

/**
 * Waits for the steps of a load that are under way, whosever they are, and lets none begin until the transaction ends.
 * @param client in a transaction that changes what they work on
 */
export async function claimState(client: pg.ClientBase, job: string): Promise<void> {
  await client.query('SELECT FROM longshore.checkpoint WHERE job = $1 FOR UPDATE', [job]);
}

/**
 * Notes the plan of a load; `undefined` for none any more.
 * @param client in the transaction of what the plan made
 * @param tables of the job, given where they are others than before
 */
export async function writePlan(
  client: pg.ClientBase,
  job: string,
  plan: LoadPlan | undefined,
  tables?: readonly JobTable[],
): Promise<void> {
  await client.query('DELETE FROM longshore.chunks WHERE job = $1', [job]);
  await client.query(
    'UPDATE longshore.checkpoint SET plan = $2, tables = coalesce($3::jsonb, tables) WHERE job = $1',
    [
      job,
      plan === undefined ? null : JSON.stringify(plan),
      tables === undefined ? null : JSON.stringify(tables),
    ],
  );
}

/** Another name of the snapshot of the plan. */
export async function renameSnapshot(
  client: pg.ClientBase,
  job: string,
  load: string,
  name: string,
): Promise<void> {
  await client.query(
    `UPDATE longshore.checkpoint SET plan = jsonb_set(plan, '{snapshot,name}', to_jsonb($3::text))
     WHERE job = $1 AND plan ->> 'id' = $2`,
    [job, load, name],
  );
}

/** Takes the job away; nothing where there is none. */
export async function endState(client: pg.ClientBase, job: string): Promise<void> {
  for (const table of ['chunks', 'statistics', 'checkpoint'])
    await client.query(`DELETE FROM longshore.${table} WHERE job = $1`, [job]);
}

/** Steps of the load that are done, with the rows of each. */
export async function doneSteps(
  client: pg.ClientBase,
  job: string,
  load: string,
): Promise<Map<string, { readonly rows: number; readonly bytes: number }>> {
  const { rows } = await client.query<{ step: string; rows: number; bytes: number }>(
    'SELECT step, rows::float8 AS rows, bytes::float8 AS bytes FROM longshore.chunks WHERE job = $1 AND load = $2',
    [job, load],
  );
  return new Map(rows.map(({ step, ...counts }) => [step, counts]));
}

/**
 * Begins a transaction for a step of a load. Whoever begins the load anew claims the state first, and so waits for its end;
 * who comes after that finds another load.
 * @throws RUN_LOCKED where another process has begun the load anew
 */
export async function beginStep(client: pg.ClientBase, job: string, load: string): Promise<void> {
  await client.query('BEGIN');
  const { rowCount } = await client.query(
    `SELECT FROM longshore.checkpoint WHERE job = $1 AND plan ->> 'id' = $2 FOR KEY SHARE`,
    [job, load],
  );
  if (rowCount !== 1) throw overtaken(job);
}

/** Notes the step as done and commits. */
export async function endStep(
  client: pg.ClientBase,
  job: string,
  load: string,
  step: string,
  counts: { readonly rows: number; readonly bytes: number } = { rows: 0, bytes: 0 },
): Promise<void> {
  await client.query('INSERT INTO longshore.chunks VALUES ($1, $2, $3, $4, $5)', [
    job,
    load,
    step,
    counts.rows,
    counts.bytes,
  ]);
  await client.query('COMMIT');
}

export interface Checkpoint {
  readonly epoch: number;
  readonly lsn: Lsn;
  readonly lastCommitMicros: bigint | undefined;
  /** Given where they are others than before. */
  readonly tables?: readonly JobTable[] | undefined;
  /** Given where there are more. */
  readonly drops?: readonly string[] | undefined;
}

/**
 * Moves the checkpoint on, from the epoch before the one that is given.
 * @param client in the transaction of the rows
 * @throws RUN_LOCKED where another process has moved it
 */
export async function moveCheckpoint(
  client: pg.ClientBase,
  job: string,
  { epoch, lsn, lastCommitMicros, tables, drops }: Checkpoint,
): Promise<void> {
  const { rowCount } = await client.query(
    `UPDATE longshore.checkpoint SET epoch = $2, lsn = $3, last_commit_micros = coalesce($4, last_commit_micros),
       tables = coalesce($5::jsonb, tables), drops = coalesce($6::jsonb, drops)
     WHERE job = $1 AND epoch = $2::bigint - 1`,
    [
      job,
      epoch,
      formatLsn(lsn),
      lastCommitMicros === undefined ? null : String(lastCommitMicros),
      tables === undefined ? null : JSON.stringify(tables),
      drops === undefined ? null : JSON.stringify(drops),
    ],
  );
  if (rowCount !== 1) throw overtaken(job);
}

function overtaken(job: string): LongshoreError {
  return new LongshoreError('RUN_LOCKED', `another process works on the job ${job} in the same target`, {
    hint: 'stop one of the two; what this one did not commit is not there',
  });
}

/** What was done to a table since the last landing. */
export interface TableCounts {
  loaded: number;
  inserts: number;
  updates: number;
  deletes: number;
  truncations: number;
  ddls: number;
  lastLsn: Lsn | undefined;
}

export function noCounts(): TableCounts {
  return { loaded: 0, inserts: 0, updates: 0, deletes: 0, truncations: 0, ddls: 0, lastLsn: undefined };
}

/** Adds to the statistics. @param counts by table */
export async function addStatistics(
  client: pg.ClientBase,
  job: string,
  counts: readonly (readonly [{ readonly schema: string; readonly name: string }, TableCounts])[],
): Promise<void> {
  if (counts.length === 0) return;
  const rows = counts.map(([{ schema, name }, { lastLsn, ...numbers }]) => ({
    schema,
    name,
    ...numbers,
    last_lsn: lastLsn === undefined ? null : formatLsn(lastLsn),
  }));
  const sums = ['loaded', 'inserts', 'updates', 'deletes', 'truncations', 'ddls'];
  await client.query(
    `INSERT INTO longshore.statistics AS s (job, schema, name, ${sums.join(', ')}, last_lsn)
     SELECT $1, schema, name, ${sums.join(', ')}, last_lsn
     FROM jsonb_to_recordset($2) AS r (schema text, name text, ${sums.map((sum) => `${sum} bigint`).join(', ')}, last_lsn pg_lsn)
     ON CONFLICT (job, schema, name) DO UPDATE SET ${sums.map((sum) => `${sum} = s.${sum} + excluded.${sum}`).join(', ')},
       last_lsn = coalesce(excluded.last_lsn, s.last_lsn)`,
    [job, JSON.stringify(rows)],
  );
}
