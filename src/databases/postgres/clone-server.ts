/** Clones on a PostgreSQL server: the note of a clone is the comment of its database. */

import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { type CloneServer, RESERVED } from '../clone-server.ts';
import { majorOf } from './client-choice.ts';
import { giveDatabaseSettings } from './database-settings.ts';
import { type PostgresShape, readShape } from './database-shape.ts';
import { type Doing, postgresError } from './errors.ts';
import { inTransaction } from './in-transaction.ts';
import { quoteText } from './schema-object.ts';
import { copyShut, createShut } from './shut-database.ts';
import { quoteName } from './sql.ts';
import { maintenanceSession } from './swap-database.ts';

const NOTE = 'longshore clone ';
const OBJECT_IN_USE = '55006';
/** Of advisory locks, so that they meet no others. */
const LOCK_SPACE = 'longshore clone';

export async function openPostgresCloneServer(connection: DatabaseConnection): Promise<CloneServer> {
  const doing: Doing = {
    action: `make clones on ${connection.host}`,
    database: connection.database,
    user: connection.user,
  };
  const stack = new AsyncDisposableStack();
  const { client } = stack.use(await maintenanceSession(connection, doing));
  const asked = async <T>(action: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw postgresError(error, { ...doing, action });
    }
  };
  const one = async (
    text: string,
    values: readonly unknown[],
  ): Promise<Record<string, unknown> | undefined> =>
    (await client.query<Record<string, unknown>>(text, values as unknown[])).rows[0];
  const version = await asked(
    doing.action,
    async () => String((await one(`SELECT current_setting('server_version') AS v`, []))!['v']).split(' ')[0]!,
  );
  const bytesOf = (name: string): Promise<number | undefined> =>
    asked(`look at ${name}`, async () => {
      const row = await one(
        'SELECT pg_database_size(oid)::float8 AS bytes FROM pg_database WHERE datname = $1',
        [name],
      );
      return row?.['bytes'] as number | undefined;
    });
  return {
    server: { product: 'PostgreSQL', version },
    bytesOf,
    shapeOf: (name) => asked(`look at ${name}`, () => readShape(client, name)),
    missingRoles: (roles) =>
      asked('look at the roles', async () => {
        const { rows } = await client.query<{ name: string }>(MISSING_ROLES, [roles]);
        return rows.map(({ name }) => name);
      }),
    noted: () =>
      asked('look for clones', async () => {
        const { rows } = await client.query<{ name: string; comment: string | null; bytes: number | null }>(
          NOTED,
          [NOTE, WORKING],
        );
        return rows.map(({ name, comment, bytes }) => ({
          name,
          bytes: bytes ?? undefined,
          note: comment?.startsWith(NOTE) ? comment.slice(NOTE.length) : undefined,
        }));
      }),
    exists: (name) =>
      asked(
        `look for ${name}`,
        async () => (await one('SELECT FROM pg_database WHERE datname = $1', [name])) !== undefined,
      ),
    sessionsIn: (name) =>
      asked(`look who is in ${name}`, async () => {
        const row = await one(
          'SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
          [name],
        );
        return Number(row!['n']);
      }),
    workingName: (name) => `${WORKING}${createHash('sha256').update(name).digest('hex').slice(0, 16)}`,
    hiddenName: () => undefined,
    lock: async (working, signal) => (await lock(connection, working, doing, signal))!,
    tryLock: (working) => lock(connection, working, doing, undefined),
    names: (prefix) =>
      asked('look for databases', async () => {
        const { rows } = await client.query<{ name: string }>(
          'SELECT datname::text AS name FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname',
          [prefix],
        );
        return rows.map(({ name }) => name);
      }),
    mayCreate: () => asked('look at the role', async () => (await one(MAY_CREATE, []))?.['may'] === true),
    mayCopy: (source) =>
      asked(`look at ${source}`, async () => {
        const row = await one(MAY_COPY, [source]);
        return row?.['may'] === true;
      }),
    create: (name, note, like) =>
      asked(`make the database ${name}`, async () => {
        const isLike = await createShut(client, name, like as PostgresShape | undefined, majorOf(version));
        await close(client, name, note);
        return isLike ? [] : [`encoding and collation of its source, ${like!.text}: this server has none`];
      }),
    copy: (source, name, note) =>
      asked(`copy ${source}`, async () => {
        const bytes = (await bytesOf(source)) ?? 0;
        const copied = await copyShut(client, source, name, majorOf(version), bytes);
        if (copied !== undefined) await close(client, name, note);
        return copied;
      }),
    publish: (working, name, note, like) =>
      asked(`publish ${name}`, async () => {
        const { isOpen, settings } = (like as PostgresShape | undefined) ?? OPEN;
        return await inTransaction(client, async () => {
          if (isOpen)
            await client.query(`GRANT CONNECT, TEMPORARY ON DATABASE ${quoteName(working)} TO PUBLIC`);
          const missing = await giveDatabaseSettings(client, settings, working);
          await renameNoted(client, working, name, note);
          return missing;
        });
      }),
    rename: (from, to, note) =>
      asked(`hand out ${to}`, async () => {
        try {
          await inTransaction(client, () => renameNoted(client, from, to, note));
          return true;
        } catch (error) {
          const code = (error as { code?: string }).code ?? '';
          if (GONE.has(code) || code === OBJECT_IN_USE) return false;
          throw error;
        }
      }),
    drop: (name) =>
      asked(`drop ${name}`, async () => {
        await client.query(`DROP DATABASE IF EXISTS ${quoteName(name)}${forced(version)}`);
      }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const WORKING = `${RESERVED}making_`;
/** The one is gone, or the name is taken meanwhile. */
const GONE: ReadonlySet<string> = new Set(['3D000', '42P04']);
/** As a database is made. */
const OPEN: Pick<PostgresShape, 'isOpen' | 'settings'> = { isOpen: true, settings: [] };

const MISSING_ROLES = `
SELECT n.name FROM unnest($1::text[]) n (name)
WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = n.name) ORDER BY n.name COLLATE "C"`;

const MAY_CREATE = `SELECT rolsuper OR rolcreatedb AS may FROM pg_roles WHERE rolname = current_user`;

const NOTED = `
SELECT datname::text AS name, shobj_description(oid, 'pg_database') AS comment,
  CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
    THEN pg_database_size(oid)::float8 END AS bytes
FROM pg_database
WHERE starts_with(shobj_description(oid, 'pg_database'), $1) OR starts_with(datname, $2)
ORDER BY datname COLLATE "C"`;

/** Whoever is not its owner stays out until it is published. */
async function close(client: pg.ClientBase, name: string, note: string): Promise<void> {
  await inTransaction(client, async () => {
    await client.query(`REVOKE CONNECT ON DATABASE ${quoteName(name)} FROM PUBLIC`);
    await comment(client, name, note);
    await client.query(`ALTER DATABASE ${quoteName(name)} ALLOW_CONNECTIONS true`);
  });
}

async function comment(client: pg.ClientBase, name: string, note: string): Promise<void> {
  await client.query(`COMMENT ON DATABASE ${quoteName(name)} IS ${quoteText(NOTE + note)}`);
}

async function renameNoted(client: pg.ClientBase, from: string, to: string, note: string): Promise<void> {
  await client.query(`ALTER DATABASE ${quoteName(from)} RENAME TO ${quoteName(to)}`);
  await comment(client, to, note);
}

/** From PostgreSQL 13 on. */
const forced = (version: string): string => (majorOf(version) >= 13 ? ' WITH (FORCE)' : '');

const MAY_COPY = `
SELECT (datistemplate OR pg_has_role(datdba, 'USAGE') OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
   AND (SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may
FROM pg_database WHERE datname = $1`;

/**
 * Held by a session of its own, so that it goes with the process.
 * @param signal of the waiting; without it nothing is waited for
 */
async function lock(
  connection: DatabaseConnection,
  working: string,
  doing: Doing,
  signal: AbortSignal | undefined,
): Promise<AsyncDisposable | undefined> {
  const session = await maintenanceSession(connection, doing);
  const key = `${LOCK_SPACE} ${working}`;
  const stop = (): void => void session[Symbol.asyncDispose]();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await session.client.query('SET lock_timeout = 0');
    const { rows } = await session.client.query<{ got: boolean }>(
      signal === undefined
        ? 'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS got'
        : 'SELECT true AS got FROM pg_advisory_lock(hashtextextended($1, 0))',
      [key],
    );
    if (rows[0]?.got === true) return session;
    await session[Symbol.asyncDispose]();
    return undefined;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    signal?.throwIfAborted();
    throw postgresError(error, { ...doing, action: `wait for whoever works on ${working}` });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
