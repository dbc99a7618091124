/** A MariaDB or MySQL server for the tests of one file, and fresh databases on it. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createConnection, createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { freePort } from '../../src/embedded/postgres.ts';

export interface MariadbServer extends AsyncDisposable {
  /** Of a user with every privilege. */
  readonly url: string;
  restart: (() => Promise<void>) | undefined;
  /** Makes an empty database with a unique name. */
  createDatabase(): Promise<MariadbTestDatabase>;
}

export interface MariadbTestDatabase {
  readonly url: string;
  readonly name: string;
  /** Runs one statement, or several separated by `;`, as the user with every privilege. */
  sql(text: string): Promise<Record<string, unknown>[]>;
  /** A connection of its own, for a transaction that stays open. */
  session(): Promise<TestSession>;
}

export interface TestSession extends AsyncDisposable {
  sql(text: string): Promise<unknown>;
}

/**
 * Whether a server can be had; when not, prints what to install.
 * For `describe.skipIf(!mariadbAvailable())`.
 */
export function mariadbAvailable(): boolean {
  if (process.env['TEST_MYSQL'] || serverProgram() !== undefined) return true;
  console.warn('skipped: no MariaDB or MySQL; apt-get install mariadb-server, or set TEST_MYSQL=mysql://…');
  return false;
}

/** The server of `TEST_MYSQL` (a `mysql://` URL), else an installed MariaDB, run in a temporary folder. */
export async function mariadbServer(): Promise<MariadbServer> {
  const given = process.env['TEST_MYSQL'];
  const started = given ? undefined : await startMariadb();
  const url = given || started!.url;
  const databases: { name: string; pool: Pool }[] = [];
  return {
    url,
    restart: started && (() => started.restart()),
    async createDatabase() {
      const name = `longshore_test_${process.pid}_${Date.now().toString(36)}_${databases.length}`;
      await once(url, `CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
      const own = new URL(url);
      own.pathname = `/${name}`;
      const pool = createPool({
        uri: own.href,
        connectionLimit: 4,
        multipleStatements: true,
        charset: 'utf8mb4',
      });
      databases.push({ name, pool });
      return {
        url: own.href,
        name,
        async sql(text) {
          const [rows] = await pool.query<RowDataPacket[]>(text);
          return rows;
        },
        async session() {
          const connection = await createConnection({ uri: own.href, charset: 'utf8mb4' });
          return { sql: (text) => connection.query(text), [Symbol.asyncDispose]: () => connection.end() };
        },
      };
    },
    async [Symbol.asyncDispose]() {
      for (const { name, pool } of databases) {
        await pool.end();
        if (started === undefined) await once(url, `DROP DATABASE IF EXISTS ${name}`);
      }
      await started?.[Symbol.asyncDispose]();
    },
  };
}

async function once(url: string, text: string): Promise<void> {
  const connection = await createConnection({ uri: url, multipleStatements: true });
  try {
    await connection.query(text);
  } finally {
    await connection.end();
  }
}

async function startMariadb(): Promise<{ url: string; restart(): Promise<void> } & AsyncDisposable> {
  const program = serverProgram();
  if (program === undefined) throw new Error('no MariaDB server is installed');
  const root = await mkdtemp(join(tmpdir(), 'longshore-mariadb-'));
  await chmod(root, 0o755);
  const data = join(root, 'data');
  await mkdir(data);
  // As root, both programs change to this user by themselves.
  const user = process.getuid?.() === 0 ? ['--user=nobody'] : [];
  const socket = join(root, 'socket');
  try {
    if (user.length > 0) await promisify(execFile)('chown', ['-R', 'nobody', root]);
    const install = installProgram();
    const flags = ['--no-defaults', ...user, `--datadir=${data}`];
    if (install === undefined) await promisify(execFile)(program, [...flags, '--initialize-insecure']);
    else {
      await promisify(execFile)(
        install,
        [...flags, '--auth-root-authentication-method=normal', '--skip-test-db'],
        {
          cwd: root,
        },
      );
    }
    const port = await freePort();
    const launch = () => launchMariadb(program, [...flags, `--socket=${socket}`, `--port=${port}`], socket);
    let server = await launch();
    const connection = await createConnection({ socketPath: socket, user: 'root', multipleStatements: true });
    await connection.query(
      "CREATE USER test@'%' IDENTIFIED BY 'test'; GRANT ALL ON *.* TO test@'%' WITH GRANT OPTION",
    );
    await connection.end();
    const kill = () => void server.kill('SIGKILL');
    process.on('exit', kill);
    return {
      url: `mysql://test:test@127.0.0.1:${port}/mysql`,
      async restart() {
        await stop(server);
        server = await launch();
      },
      async [Symbol.asyncDispose]() {
        process.off('exit', kill);
        await stop(server);
        await rm(root, { recursive: true, force: true, maxRetries: 5 });
      },
    };
  } catch (error) {
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
    throw error;
  }
}

async function launchMariadb(program: string, flags: string[], socket: string): Promise<ChildProcess> {
  const settings = [
    '--bind-address=127.0.0.1',
    '--skip-name-resolve',
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-buffer-pool-size=64M',
    '--default-time-zone=+00:00',
  ];
  const server = spawn(program, [...flags, ...settings], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  server.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-4000);
  });
  const deadlineMs = Date.now() + 60_000;
  for (;;) {
    const connection = await createConnection({ socketPath: socket, user: 'root' }).catch(() => undefined);
    if (connection !== undefined) {
      await connection.end();
      server.unref();
      (server.stderr as unknown as { unref?: () => void }).unref?.();
      return server;
    }
    if (server.exitCode !== null || Date.now() > deadlineMs)
      throw new Error(`MariaDB does not start:\n${log}`);
    await delay(30);
  }
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.ref();
  server.kill('SIGTERM');
  const timer = setTimeout(() => server.kill('SIGKILL'), 20_000);
  await ended;
  clearTimeout(timer);
}

function serverProgram(): string | undefined {
  return programIn(['mariadbd', 'mysqld']);
}

function installProgram(): string | undefined {
  return programIn(['mariadb-install-db']);
}

function programIn(names: readonly string[]): string | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
    '/opt/homebrew/bin',
  ];
  for (const name of names) {
    for (const folder of folders)
      if (folder !== '' && existsSync(join(folder, name))) return join(folder, name);
  }
  return undefined;
}
