/** Clones on a MariaDB server: the note of a clone is the comment of its database. */

import { createHash } from 'node:crypto';
import type { DatabaseUrl } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import { type CloneServer, type DatabaseShape, RESERVED } from '../clone-server.ts';
import { type Client, MysqlConnections } from './connections.ts';
import { quoteName, quoteText } from './sql.ts';

const NOTE = 'longshore clone ';
/** A comment may have so many characters. */
const COMMENT_CHARACTERS = 1024;
/** Seconds that a name is waited for at a time, so that an abort is seen. */
const LOCK_SECONDS = 1;

/** @throws CHECK_FAILED for MySQL, and for a MariaDB that knows no comments of databases */
export async function openMariadbCloneServer(url: DatabaseUrl): Promise<CloneServer> {
  const stack = new AsyncDisposableStack();
  const open = (): MysqlConnections =>
    stack.use(new MysqlConnections({ ...url.connection, database: 'information_schema' }, 1));
  const connections = open();
  const { database, user } = url.connection;
  const asked = <T>(action: string, work: (client: Client) => Promise<T>): Promise<T> =>
    connections.use({ action, database, user }, undefined, work);
  const version = await asked(
    'make clones',
    async (client) => (await client.rows('SELECT version()'))[0]![0]!,
  );
  if (!isSupported(version)) {
    await stack.disposeAsync();
    throw new LongshoreError('CHECK_FAILED', `clones cannot be made on this server (${version})`, {
      hint: 'MariaDB 10.5 or later has comments of databases, in which a clone is noted; MySQL has none: use Aurora, or MariaDB',
    });
  }
  const sizeOf = async (client: Client, name: string): Promise<number> => {
    const rows = await client.rows(
      `SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = ${quoteText(name)}`,
    );
    return Number(rows[0]![0]);
  };
  const isThere = async (client: Client, name: string): Promise<boolean> =>
    (
      await client.rows(
        `SELECT schema_name FROM information_schema.schemata WHERE schema_name = ${quoteText(name)}`,
      )
    ).length > 0;
  const setNote = (name: string, note: string): Promise<number> =>
    asked(`note what ${name} is`, (client) =>
      client.change(`ALTER DATABASE ${quoteName(name)} COMMENT ${commentText(note)}`),
    );
  return {
    server: { product: 'MariaDB', version: version.split('-')[0]! },
    noted: () =>
      asked('look for clones', async (client) => {
        const rows = await client.rows(
          `SELECT schema_name, schema_comment FROM information_schema.schemata WHERE schema_comment LIKE ${quoteText(`${NOTE}%`)} ORDER BY schema_name`,
        );
        const noted = [];
        for (const [name, comment] of rows as [string, string][])
          noted.push({ name, note: comment.slice(NOTE.length), bytes: await sizeOf(client, name) });
        return noted;
      }),
    exists: (name) => asked(`look for ${name}`, (client) => isThere(client, name)),
    bytesOf: (name) =>
      asked(`look at ${name}`, async (client) =>
        (await isThere(client, name)) ? await sizeOf(client, name) : undefined,
      ),
    shapeOf: (name) =>
      asked(`look at ${name}`, async (client) => {
        const [row] = await client.rows(
          `SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = ${quoteText(name)}`,
        );
        return row === undefined ? undefined : shape(row[0]!, row[1]!);
      }),
    missingRoles: async () => [],
    sessionsIn: (name) =>
      asked(`look who is in ${name}`, async (client) => {
        const rows = await client.rows(
          `SELECT COUNT(*) FROM information_schema.processlist WHERE db = ${quoteText(name)}`,
        );
        return Number(rows[0]![0]);
      }),
    // Databases are not renamed: one is made under its own name, and its note says that it is not whole.
    workingName: (name) => name,
    // Grants may be there already for that name, or for many that begin alike.
    hiddenName: (name) =>
      `${RESERVED}masking_${createHash('sha256').update(name).digest('hex').slice(0, 16)}`,
    lock: async (working, signal) => (await lock(open(), working, url, signal))!,
    tryLock: (working) => lock(open(), working, url, undefined),
    names: (prefix) =>
      asked('look for databases', async (client) => {
        const rows = await client.rows('SELECT schema_name FROM information_schema.schemata ORDER BY 1');
        return rows.map(([name]) => name!).filter((name) => name.startsWith(prefix));
      }),
    mayCreate: async () => true,
    mayCopy: async () => false,
    create: (name, note, like) =>
      asked(`make the database ${name}`, async (client) => {
        const { clauses } = (like as MariadbShape | undefined) ?? { clauses: 'CHARACTER SET utf8mb4' };
        await client.change(`CREATE DATABASE ${quoteName(name)} ${clauses} COMMENT ${commentText(note)}`);
        return [];
      }),
    copy: async () => undefined,
    publish: async (working, _name, note) => {
      await setNote(working, note);
      return [];
    },
    rename: async () => {
      throw new LongshoreError('CHECK_FAILED', 'MariaDB does not rename databases', {
        hint: 'a pool of ready clones needs PostgreSQL',
      });
    },
    drop: (name) =>
      asked(`drop ${name}`, async (client) => {
        await endSessions(client, name);
        await client.change(`DROP DATABASE IF EXISTS ${quoteName(name)}`);
      }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Those that we may end: an open transaction would keep the database. */
async function endSessions(client: Client, name: string): Promise<void> {
  const sessions = await client.rows(
    `SELECT id FROM information_schema.processlist WHERE db = ${quoteText(name)} AND id <> CONNECTION_ID()`,
  );
  for (const [id] of sessions) {
    try {
      await client.rows(`KILL ${Number(id)}`);
    } catch (error) {
      if (!NOT_ENDED.has((error as { errno?: number }).errno ?? 0)) throw error;
    }
  }
}

/** Is gone, is another's. */
const NOT_ENDED: ReadonlySet<number> = new Set([1094, 1095]);

interface MariadbShape extends DatabaseShape {
  readonly clauses: string;
}

function shape(characterSet: string, collation: string): MariadbShape {
  const clauses = `CHARACTER SET ${characterSet} COLLATE ${collation}`;
  return { text: `${characterSet}, ${collation}`, clauses, roles: [], rolesAnyway: [], tablespaces: [] };
}

function isSupported(version: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+).*mariadb/i.exec(version) ?? [];
  return Number(major) > 10 || (Number(major) === 10 && Number(minor) >= 5);
}

function commentText(note: string): string {
  const text = NOTE + note;
  // No other form of a literal is taken there; our sessions have backslashes as escapes.
  const literal = `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
  if (text.length <= COMMENT_CHARACTERS) return literal;
  throw new LongshoreError('CONFIG_INVALID', 'the note of this clone is too long for MariaDB', {
    hint: 'give it a shorter owner',
  });
}

/** Held by a session of its own, so that it goes with the process. @param signal of the waiting; without it nothing is waited for */
async function lock(
  connections: MysqlConnections,
  working: string,
  { connection: { database, user } }: DatabaseUrl,
  signal: AbortSignal | undefined,
): Promise<AsyncDisposable | undefined> {
  const held = Promise.withResolvers<boolean>();
  const free = Promise.withResolvers<void>();
  const action = `wait for whoever works on ${working}`;
  const seconds = signal === undefined ? 0 : LOCK_SECONDS;
  const text = `SELECT GET_LOCK(CONCAT('longshore clone ', SHA1(${quoteText(working)})), ${seconds})`;
  const holding = connections.use({ action, database, user }, undefined, async (client) => {
    let got = false;
    do {
      signal?.throwIfAborted();
      got = Number((await client.rows(text))[0]![0]) === 1;
    } while (!got && signal !== undefined);
    held.resolve(got);
    if (!got) return;
    await free.promise;
    await client.rows('SELECT RELEASE_ALL_LOCKS()');
  });
  holding.catch(held.reject);
  if (!(await held.promise)) return undefined;
  return {
    [Symbol.asyncDispose]: async () => {
      free.resolve();
      await holding;
    },
  };
}
