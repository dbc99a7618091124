/** The snapshot that a dump is taken under, held by a session of ours, and what the catalogue says of it. */

import type { DatabaseConnection } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import {
  type CatalogueTable,
  countLargeObjects,
  readDumpTables,
  readExtensions,
  readObjects,
  readRoles,
  readSequencePositions,
  type SequencePosition,
} from './dump-catalogue.ts';
import { type Doing, postgresError } from './errors.ts';
import { checkNotRewritten, lockTables, tablesLockedByOthers } from './lock-tables.ts';
import { openSession, type Session } from './open-session.ts';

export const LOCK_WAIT_MS = 60_000;

/** A snapshot, and what the catalogue says of it. */
export interface DumpSnapshot extends AsyncDisposable {
  /** Good for `pg_dump --snapshot` until it is disposed. */
  readonly name: string;
  readonly session: Session;
  readonly version: string;
  readonly tables: readonly CatalogueTable[];
  readonly objects: readonly string[];
  readonly sequences: readonly SequencePosition[];
  readonly roles: readonly string[];
  readonly extensions: readonly string[];
  readonly largeObjects: number;
}

/**
 * Locks every table, so that none is dropped or truncated before pg_dump has it.
 * @throws DATABASE_CONFLICT where a table is locked by somebody else for longer than that
 */
export async function takeDumpSnapshot(
  connection: DatabaseConnection,
  doing: Doing,
  lockWaitMs: number = LOCK_WAIT_MS,
): Promise<DumpSnapshot> {
  const session = await openSession(connection, { doing });
  const { client } = session;
  try {
    await client.query(`SET search_path = ''`);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    // The size of a table is not told either while somebody has locked it.
    await client.query(`SET LOCAL lock_timeout = ${lockWaitMs}`);
    const { rows } = await client.query<{ name: string; version: string }>(
      `SELECT pg_export_snapshot() AS name, current_setting('server_version') AS version`,
    );
    const tables = await readDumpTables(client);
    await lockTables(client, tables, lockWaitMs);
    await checkNotRewritten(
      client,
      tables.map(({ oid }) => oid),
    );
    // Each is locked by being read, and the server has room for so many locks: pg_dump needs one for each itself.
    await client.query('SAVEPOINT sequences');
    const sequences = await readSequencePositions(client);
    await client.query('ROLLBACK TO SAVEPOINT sequences; RELEASE SAVEPOINT sequences');
    return {
      name: rows[0]!.name,
      version: rows[0]!.version.split(' ')[0]!,
      session,
      tables,
      objects: await readObjects(client),
      sequences,
      roles: await readRoles(client),
      extensions: await readExtensions(client),
      largeObjects: await countLargeObjects(client),
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    };
  } catch (error) {
    await using _ = session;
    const failed = postgresError(error, doing);
    if (failed.context['lockTimeout'] === true) throw await locked(failed, session, doing, lockWaitMs);
    throw failed;
  }
}

/** A lock that was not had, with the table and who has it. */
async function locked(
  cause: LongshoreError,
  { client }: Session,
  { action }: Doing,
  waitMs: number,
): Promise<LongshoreError> {
  await client.query('ROLLBACK');
  const tables = await tablesLockedByOthers(client);
  const which = tables.length === 0 ? 'a table' : tables.join(', ');
  return new LongshoreError(
    'DATABASE_CONFLICT',
    `Cannot ${action}: ${which} was locked by another session for more than ${waitMs / 1000} s`,
    { cause, hint: 'end what holds the lock, or let the dump wait longer', context: cause.context },
  );
}
