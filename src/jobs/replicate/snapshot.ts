/**
 * The snapshot under which a full load reads: taken where the change stream begins, and held by this process or, for one
 * that may die, by another one. What reads under it locks the tables against what a snapshot does not protect from.
 */

import type pg from 'pg';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { type Doing, postgresError } from '../../databases/postgres/errors.ts';
import { changedMeanwhile, checkNotRewritten, lockTables } from '../../databases/postgres/lock-tables.ts';
import { type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import {
  beginUnderSnapshot,
  createSlot,
  createSoundSlot,
} from '../../databases/postgres/replication-setup.ts';
import { quotedTable, readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../errors.ts';

export interface HeldSnapshot extends AsyncDisposable {
  /** Good for `SET TRANSACTION SNAPSHOT` until it is disposed. */
  readonly name: string;
  /** The snapshot sees what committed before this, and nothing else. */
  readonly lsn: Lsn;
  /** A session under the snapshot. */
  readonly session: Session;
  /** The tables as the snapshot sees them; those that are gone are left out. */
  readonly tables: readonly SourceTable[];
  /**
   * Locks the tables. Once they are locked, who wants to change one waits, and makes everybody else wait behind him: all
   * sessions that read have to lock at once.
   * @throws DATABASE_CONFLICT where a table was truncated or rewritten since the snapshot was taken
   */
  lock(): Promise<void>;
}

export interface SnapshotSource {
  readonly connection: DatabaseConnection;
  readonly doing: Doing;
  /** By their oids. */
  readonly tables: readonly SourceTable[];
}

/** A slot, and the snapshot at the place from which it sends changes. @param temporary whether the slot is of no other use */
export async function snapshotOfSlot(
  { connection, doing, tables }: SnapshotSource,
  slot: string,
  temporary: boolean,
): Promise<HeldSnapshot> {
  const replication = await openSession(connection, { doing, replication: true });
  try {
    await using watch = await openSession(connection, { doing });
    const { consistentLsn, snapshot } = temporary
      ? await createSlot(replication.client, slot, true)
      : await createSoundSlot(replication.client, watch.client, slot);
    const held = await underSnapshot({ connection, doing, tables }, snapshot, consistentLsn);
    // The session under the snapshot keeps it from now on.
    await replication[Symbol.asyncDispose]();
    return held;
  } catch (error) {
    await replication[Symbol.asyncDispose]();
    throw postgresError(error, doing);
  }
}

/** A snapshot of now, for a load that no change follows; its place in the log is only about right. */
export async function snapshotOfNow(source: SnapshotSource): Promise<HeldSnapshot> {
  const session = await openSession(source.connection, { doing: source.doing });
  try {
    await session.client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const { rows } = await session.client.query<{ lsn: string }>(
      `SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text AS lsn`,
    );
    return await hold(session, source, parseLsn(rows[0]!.lsn));
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw postgresError(error, source.doing);
  }
}

/** A snapshot that another process holds; undefined where nobody does any more, or a table was renamed since. */
export async function snapshotHeldElsewhere(
  source: SnapshotSource,
  name: string,
  lsn: Lsn,
): Promise<HeldSnapshot | undefined> {
  try {
    return await underSnapshot(source, name, lsn);
  } catch (error) {
    // Under it tables have names that they have no more.
    if (error instanceof LongshoreError && error.code === 'DATABASE_CONFLICT') return undefined;
    if (NO_SNAPSHOT.has((error as { code?: string }).code ?? '')) return undefined;
    throw postgresError(error, source.doing);
  }
}

/** The name is none, there is none of that name, or the session that exported it is gone. */
const NO_SNAPSHOT: ReadonlySet<string> = new Set(['22023', '42704', '55000']);

/**
 * Begins a transaction under a snapshot and locks tables in it.
 * @param oids of the tables; those that are gone are left out
 * @returns the name under which the session holds the snapshot
 */
export async function snapshotUnderLocks(
  { client }: Session,
  snapshot: string,
  oids: readonly number[],
): Promise<string> {
  await beginUnderSnapshot(client, snapshot);
  const { rows } = await client.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = ANY ($1::oid[])`,
    [oids],
  );
  return lockAndExport(client, rows);
}

async function underSnapshot(source: SnapshotSource, name: string, lsn: Lsn): Promise<HeldSnapshot> {
  const session = await openSession(source.connection, { doing: source.doing });
  try {
    await beginUnderSnapshot(session.client, name);
    return await hold(session, source, lsn);
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

async function hold(session: Session, { tables, doing }: SnapshotSource, lsn: Lsn): Promise<HeldSnapshot> {
  const { client } = session;
  const oids = new Set(tables.map(({ oid }) => oid));
  const isWanted = ({ oid }: { readonly oid: number }): boolean => oids.has(oid);
  const seen = (await readTables(client, isWanted)).filter(isWanted);
  for (const { oid, schema, name } of seen) {
    const known = tables.find((table) => table.oid === oid)!;
    if (known.schema !== schema || known.name !== name)
      throw changedMeanwhile(`${known.schema}.${known.name} was renamed while the snapshot was taken`);
  }
  const { rows } = await client.query<{ name: string }>('SELECT pg_export_snapshot() AS name');
  return {
    name: rows[0]!.name,
    lsn,
    session,
    tables: seen,
    lock: () => lock(client, seen, doing),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

async function lock(client: pg.ClientBase, tables: readonly SourceTable[], doing: Doing): Promise<void> {
  try {
    await lockTables(client, tables);
    const { rows: others } = await client.query<{ name: string }>(OTHER_TABLE, [
      tables.map(quotedTable),
      tables.map(({ oid }) => oid),
    ]);
    if (others[0] !== undefined)
      throw changedMeanwhile(`${others[0].name} is another table now than when the snapshot was taken`);
    const oids = tables.flatMap(({ leaves }) => leaves.map(({ oid }) => oid));
    await checkNotRewritten(client, oids);
    for (const table of tables) {
      if (!(await hasItsColumns(client, table)))
        throw changedMeanwhile(`columns of ${quotedTable(table)} were changed while the snapshot was taken`);
    }
  } catch (error) {
    throw postgresError(error, doing);
  }
}

/** Queries see the columns of now, whatever the snapshot: those of the snapshot would be looked for in vain. */
async function hasItsColumns(client: pg.ClientBase, table: SourceTable): Promise<boolean> {
  const from = `${table.partitioned ? '' : 'ONLY '}${quotedTable(table)}`;
  const { fields } = await client.query(`SELECT * FROM ${from} LIMIT 0`);
  const columns = table.columns.map(({ name, typeOid }) => [name, typeOid]);
  const now = fields.map(({ name, dataTypeID }) => [name, dataTypeID]);
  return JSON.stringify(columns) === JSON.stringify(now);
}

async function lockAndExport(
  client: pg.ClientBase,
  tables: readonly { readonly schema: string; readonly name: string }[],
): Promise<string> {
  await lockTables(client, tables);
  const { rows } = await client.query<{ name: string }>('SELECT pg_export_snapshot() AS name');
  return rows[0]!.name;
}

/** Names are those of now, whatever the snapshot. */
const OTHER_TABLE = `
SELECT t.name FROM unnest($1::text[], $2::int8[]) AS t (name, oid)
WHERE to_regclass(t.name)::oid::int8 IS DISTINCT FROM t.oid`;
