/** Reads the client's own password files: PostgreSQL's `.pgpass`, MySQL's and MariaDB's `.my.cnf`. */

import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseConnection } from './database-url.ts';
import { Secret } from './secret.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The connection with its user and password filled in from the dialect's file, where the URL and the
 * environment gave none. A `.pgpass` that others can read is left aside, as libpq does.
 */
export async function withFileCredentials(
  connection: DatabaseConnection,
  dialect: 'postgres' | 'mysql',
  environment: Environment = process.env,
): Promise<DatabaseConnection> {
  if (connection.password !== undefined) return connection;
  if (dialect === 'postgres') {
    const password = await pgpassPassword(connection, environment);
    return password === undefined ? connection : { ...connection, password };
  }
  const client = await myCnfClient(environment);
  return {
    ...connection,
    user: connection.user ?? client.user,
    password: client.password === undefined ? undefined : new Secret(client.password),
  };
}

/** @see https://www.postgresql.org/docs/current/libpq-pgpass.html */
async function pgpassPassword(
  connection: DatabaseConnection,
  environment: Environment,
): Promise<Secret | undefined> {
  const file = environment.PGPASSFILE || join(environment['HOME'] || homedir(), '.pgpass');
  const text = await readPrivate(file, true);
  if (text === undefined) return undefined;
  const host = connection.host.startsWith('/') ? ['localhost', connection.host] : [connection.host];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue;
    const fields = [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map((match) =>
      match[1]!.replace(/\\(.)/g, '$1'),
    );
    const [lineHost, port, database, user, password] = fields;
    if (password === undefined) continue;
    const fits =
      (lineHost === '*' || host.includes(lineHost!)) &&
      (port === '*' || port === String(connection.port)) &&
      (database === '*' || database === connection.database) &&
      (user === '*' || user === connection.user);
    if (fits) return new Secret(password);
  }
  return undefined;
}

/** @see https://dev.mysql.com/doc/refman/8.4/en/option-files.html */
async function myCnfClient(environment: Environment): Promise<{ user?: string; password?: string }> {
  const text = await readPrivate(join(environment.HOME || homedir(), '.my.cnf'), false);
  const client: { user?: string; password?: string } = {};
  let group = '';
  for (const given of (text ?? '').split(/\r?\n/)) {
    const line = withoutComment(given);
    const header = /^\s*\[([^\]]*)\]/.exec(line);
    if (header !== null) group = header[1]!.trim();
    const option = /^\s*(user|password)\s*=\s*(.*?)\s*$/.exec(line);
    if (option === null || !['client', 'client-mariadb', 'mysql'].includes(group)) continue;
    const value = option[2]!.replace(/^(['"])(.*)\1$/s, '$2');
    client[option[1] as 'user' | 'password'] = value.replace(
      /\\([ntrbs"'\\])/g,
      (_, escaped: string) => ESCAPES[escaped] ?? escaped,
    );
  }
  return client;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', s: ' ' };

/** What follows a `#` that is not between quotes. */
function withoutComment(line: string): string {
  return /^(?:[^#'"]|'(?:\\.|[^'\\])*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$))*/.exec(line)![0];
}

async function readPrivate(file: string, privately: boolean): Promise<string | undefined> {
  try {
    if (privately && process.platform !== 'win32' && ((await stat(file)).mode & 0o077) !== 0)
      return undefined;
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined;
    throw error;
  }
}
