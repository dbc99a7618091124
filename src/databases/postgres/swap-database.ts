/** Makes a database of PostgreSQL, and puts one in the place of another by their names. */

import type { DatabaseConnection } from '../../config/database-url.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import { copyDatabaseSettings } from './database-settings.ts';
import { type Doing, postgresError } from './errors.ts';
import { openSession, type Session } from './open-session.ts';
import { quoteText } from './schema-object.ts';
import { quoteName } from './sql.ts';

/** From which databases are made and renamed: nobody can be in the one that is. */
const MAINTENANCE = ['postgres', 'template1'] as const;

/**
 * Makes an empty one in UTF-8, with the collation of the database that the connection names, where that is there.
 * @throws DATABASE_DENIED, DATABASE_FAILED
 */
export async function createDatabase(connection: DatabaseConnection, name: string): Promise<void> {
  const doing: Doing = { action: `make the database ${name}`, database: name, user: connection.user };
  await using session = await maintenanceSession(connection, doing);
  try {
    const { rows } = await session.client.query<{ collate: string; ctype: string }>(
      'SELECT datcollate AS collate, datctype AS ctype FROM pg_database WHERE datname = $1',
      [connection.database],
    );
    const like = rows[0];
    const locale =
      like === undefined ? '' : ` LC_COLLATE ${quoteText(like.collate)} LC_CTYPE ${quoteText(like.ctype)}`;
    await session.client.query(
      `CREATE DATABASE ${quoteName(name)} TEMPLATE template0 ENCODING 'UTF8'${locale}`,
    );
  } catch (error) {
    throw postgresError(error, doing);
  }
}

/** @throws DATABASE_DENIED, DATABASE_FAILED */
export async function dropDatabase(connection: DatabaseConnection, name: string): Promise<void> {
  const doing: Doing = { action: `drop the database ${name}`, database: name, user: connection.user };
  await using session = await maintenanceSession(connection, doing);
  try {
    await session.client.query(`DROP DATABASE IF EXISTS ${quoteName(name)}`);
  } catch (error) {
    throw postgresError(error, doing);
  }
}

/**
 * Gives `fresh` the name of the database that the connection names, with its owner, grants and settings; that one is called
 * `kept` from then on, and sessions of both are ended. Where there is none yet, `fresh` just gets the name.
 * @returns whether there was one
 * @throws DATABASE_FAILED with both under the names that they had
 */
export async function swapDatabase(
  connection: DatabaseConnection,
  fresh: string,
  kept: string,
): Promise<boolean> {
  const { database, user } = connection;
  const doing: Doing = { action: `put ${fresh} in the place of ${database}`, database, user };
  await using session = await maintenanceSession(connection, doing);
  const rename = async (from: string, to: string): Promise<void> => {
    await session.client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
      [from],
    );
    await session.client.query(`ALTER DATABASE ${quoteName(from)} RENAME TO ${quoteName(to)}`);
  };
  try {
    const { rows } = await session.client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    const isThere = rows.length > 0;
    if (isThere) await copyDatabaseSettings(session.client, database, fresh);
    if (isThere) await persistently(() => rename(database, kept));
    try {
      await persistently(() => rename(fresh, database));
    } catch (error) {
      if (isThere) await persistently(() => rename(kept, database));
      throw error;
    }
    return isThere;
  } catch (error) {
    const failure = postgresError(error, doing);
    throw new LongshoreError(failure.code, failure.message, {
      cause: error,
      hint: `the restored database is ${fresh}: rename it when nobody connects to ${database} any more`,
    });
  }
}

const RENAMES_MAX = 20;
const OBJECT_IN_USE = '55006';

/** Programs come back at once when their sessions are ended. */
async function persistently(rename: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await rename();
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== OBJECT_IN_USE || attempt === RENAMES_MAX) throw error;
    }
  }
}

/** A session in a database that is neither made nor dropped. @throws DATABASE_UNREACHABLE, DATABASE_DENIED */
export async function maintenanceSession(connection: DatabaseConnection, doing: Doing): Promise<Session> {
  const [first, second] = MAINTENANCE;
  try {
    return await openSession({ ...connection, database: first }, { doing });
  } catch (error) {
    if (!/does not exist/.test(messageOf(error))) throw error;
    return await openSession({ ...connection, database: second }, { doing });
  }
}
