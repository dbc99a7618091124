/**
 * The snapshot under which a full load reads: taken where the change stream begins, with the tables locked against what
 * a snapshot does not protect from, and held by this process or, for one that may die, by another one.
 */

import type pg from 'pg';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { type Doing, postgresError } from '../../databases/postgres/errors.ts';
import { type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import { beginUnderSnapshot, createSlot } from '../../databases/postgres/replication-setup.ts';
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
    const { consistentLsn, snapshot } = await createSlot(replication.client, slot, temporary);
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
    return await hold(session, source.tables, parseLsn(rows[0]!.lsn));
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw postgresError(error, source.doing);
  }
}

/** A snapshot that another process holds; undefined where nobody does any more. */
export async function snapshotHeldElsewhere(
  source: SnapshotSource,
  name: string,
  lsn: Lsn,
): Promise<HeldSnapshot | undefined> {
  try {
    return await underSnapshot(source, name, lsn);
  } catch (error) {
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

async function underSnapshot(
  { connection, doing, tables }: SnapshotSource,
  name: string,
  lsn: Lsn,
): Promise<HeldSnapshot> {
  const session = await openSession(connection, { doing });
  try {
    await beginUnderSnapshot(session.client, name);
    return await hold(session, tables, lsn);
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

async function hold(session: Session, tables: readonly SourceTable[], lsn: Lsn): Promise<HeldSnapshot> {
  const { client } = session;
  const oids = new Set(tables.map(({ oid }) => oid));
  const seen = (await readTables(client)).filter(({ oid }) => oids.has(oid));
  const name = await lockAndExport(client, seen);
  const { rows: rewritten } = await client.query<{ name: string }>(REWRITTEN, [
    seen.flatMap(({ leaves }) => leaves.map(({ oid }) => oid)),
  ]);
  if (rewritten[0] !== undefined) {
    throw new LongshoreError(
      'DATABASE_CONFLICT',
      `${rewritten[0].name} was truncated or rewritten while the snapshot was taken`,
      { hint: 'run the same command again' },
    );
  }
  return {
    name,
    lsn,
    session,
    tables: seen,
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

async function lockAndExport(
  client: pg.ClientBase,
  tables: readonly { readonly schema: string; readonly name: string }[],
): Promise<string> {
  if (tables.length > 0)
    await client.query(`LOCK TABLE ${tables.map(quotedTable).join(', ')} IN ACCESS SHARE MODE`);
  const { rows } = await client.query<{ name: string }>('SELECT pg_export_snapshot() AS name');
  return rows[0]!.name;
}

/** Tables that have another file now than the snapshot sees: to the snapshot they would look empty. */
const REWRITTEN = `
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.oid = ANY ($1::oid[]) AND c.relfilenode <> 0 AND c.relfilenode <> pg_relation_filenode(c.oid)`;
