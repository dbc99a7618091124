/** What Longshore knows of a DuckDB database, inside it: how far a job is applied, and which tables are its own. */

import { z } from 'zod';
import type { Manifest } from '../manifest.ts';
import type { TableName } from '../table-filter.ts';
import type { WarehouseColumn } from './column-changes.ts';
import { DATABASE, type DuckDbFile, literal } from './duckdb-file.ts';

/** Of the database; no schema of a source is called so. */
export const META_SCHEMA = 'longshore';

export interface Checkpoint {
  readonly epoch: number;
  readonly lsn: string;
}

/** A table of the job. */
export interface WarehouseTable extends TableName {
  /** Of the source. */
  readonly oid: number;
  /** Besides them it may have `_unfit`; none where it could not be made yet. */
  readonly columns: readonly WarehouseColumn[];
  /** Why it has to be loaded again; until then its changes are passed over. */
  readonly stale: string | null;
}

const CHECKPOINT = `${DATABASE}.${META_SCHEMA}.checkpoint`;
const TABLES = `${DATABASE}.${META_SCHEMA}.tables`;

export async function makeState(db: DuckDbFile): Promise<void> {
  await db.run(`CREATE SCHEMA IF NOT EXISTS ${DATABASE}.${META_SCHEMA}`);
  await db.run(`CREATE TABLE IF NOT EXISTS ${CHECKPOINT} (
    job VARCHAR NOT NULL, epoch BIGINT NOT NULL, lsn VARCHAR NOT NULL, committed TIMESTAMPTZ, applied TIMESTAMPTZ NOT NULL)`);
  await db.run(`CREATE TABLE IF NOT EXISTS ${TABLES} (
    job VARCHAR NOT NULL, schema_name VARCHAR NOT NULL, table_name VARCHAR NOT NULL, oid BIGINT NOT NULL,
    columns JSON NOT NULL, stale VARCHAR)`);
}

/** Undefined where nothing of the job is applied. */
export async function readCheckpoint(db: DuckDbFile, job: string): Promise<Checkpoint | undefined> {
  const [row] = await db.rows(`SELECT epoch, lsn FROM ${CHECKPOINT} WHERE job = ${literal(job)}`);
  return row === undefined ? undefined : { epoch: Number(row[0]), lsn: String(row[1]) };
}

export async function writeCheckpoint(
  db: DuckDbFile,
  { job, epoch, toLsn, lastCommitMicros }: Manifest,
): Promise<void> {
  const committed = lastCommitMicros === undefined ? 'NULL' : `make_timestamptz(${BigInt(lastCommitMicros)})`;
  if ((await readCheckpoint(db, job)) === undefined)
    await db.run(`INSERT INTO ${CHECKPOINT} VALUES (${literal(job)}, 0, '0/0', NULL, now())`);
  await db.run(`UPDATE ${CHECKPOINT} SET epoch = ${epoch}, lsn = ${literal(toLsn)},
    committed = coalesce(${committed}, committed), applied = now() WHERE job = ${literal(job)}`);
}

const columnsSchema = z.array(
  z.object({ name: z.string(), number: z.number().nullable(), type: z.string(), parquet: z.string() }),
);

export async function readTables(db: DuckDbFile, job: string): Promise<WarehouseTable[]> {
  const rows = await db.rows(
    `SELECT schema_name, table_name, oid, columns, stale FROM ${TABLES} WHERE job = ${literal(job)}`,
  );
  return rows.map(([schema, name, oid, columns, stale]) => ({
    schema: String(schema),
    name: String(name),
    oid: Number(oid),
    columns: columnsSchema.parse(JSON.parse(String(columns))),
    stale: stale === null ? null : String(stale),
  }));
}

export async function writeTable(db: DuckDbFile, job: string, table: WarehouseTable): Promise<void> {
  const { schema, name, oid, columns, stale } = table;
  await db.run(
    `DELETE FROM ${TABLES} WHERE job = ${literal(job)} AND schema_name = ${literal(schema)} AND table_name = ${literal(name)}`,
  );
  const values = [literal(job), literal(schema), literal(name), oid, literal(JSON.stringify(columns))];
  await db.run(
    `INSERT INTO ${TABLES} VALUES (${values.join(', ')}, ${stale === null ? 'NULL' : literal(stale)})`,
  );
}

/** Tables and views of that name, whoever made them; names that differ by case alone are one to DuckDB. */
export async function isThere(db: DuckDbFile, { schema, name }: TableName): Promise<boolean> {
  const rows = await db.rows(`SELECT 1 FROM information_schema.tables
    WHERE table_catalog = ${literal(DATABASE)} AND lower(table_schema) = lower(${literal(schema)})
      AND lower(table_name) = lower(${literal(name)})`);
  return rows.length > 0;
}
