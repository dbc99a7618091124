/** Runs a real PostgreSQL server in a temporary folder, for the demo and the tests. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { LongshoreError } from '../errors.ts';
import {
  packagedBinFolder,
  reachableBinFolder,
  type ServerUser,
  unprivilegedUser,
} from './postgres-binaries.ts';
import { runningServer } from './running-server.ts';
import { serverEnvironment } from './server-environment.ts';
import { watched } from './watched.ts';

/** Durability is worth nothing in a folder that is thrown away; `logical` lets replication be tried as well. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'logical',
  max_connections: '100',
  shared_buffers: '64MB',
  TimeZone: 'UTC',
  log_timezone: 'UTC',
};

const START_TIMEOUT_MS = 60_000;

export interface EmbeddedPostgresOptions {
  /** Where `initdb` and `postgres` are; by default those of the npm package. */
  readonly binFolder?: string;
  /** Where the data goes; by default a new temporary folder. Made by the server, removed with it. */
  readonly folder?: string;
  /** By default one that is free. */
  readonly port?: number;
}

/** A running server. Disposing stops it and removes its folder. */
export interface EmbeddedPostgres extends AsyncDisposable {
  /** `postgres://postgres:…@127.0.0.1:port/postgres`, of a superuser, with a random password. */
  readonly url: string;
  readonly port: number;
  /** Stops the server at once, as a crash of its connections would, and starts it on the same port and data. */
  restart(): Promise<void>;
}

/**
 * Starts PostgreSQL on 127.0.0.1 and waits until it answers. As root it is run by an unprivileged user, since
 * PostgreSQL refuses root. When this process is killed the server stops by itself.
 *
 * @throws CONFIG_INVALID where there is no PostgreSQL to run
 * @throws DATABASE_UNREACHABLE where it does not start; the message holds the end of its log
 */
export async function startPostgres(options: EmbeddedPostgresOptions = {}): Promise<EmbeddedPostgres> {
  const user = await unprivilegedUser();
  const root = await mkdtemp(join(tmpdir(), 'longshore-postgres-'));
  // The user must pass through to the data and, where they are copied, to the programs.
  await chmod(root, 0o755);
  const data = options.folder ?? join(root, 'data');
  const removed = [root, ...(options.folder === undefined ? [] : [options.folder])];
  const remove = async () => {
    for (const folder of removed) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const binFolder = await reachableBinFolder(options.binFolder ?? (await packagedBinFolder()), user, root);
    await mkdir(data, { recursive: true, mode: 0o700 });
    if (user !== undefined) await chown(data, user.uid, user.gid);
    const password = randomBytes(16).toString('hex');
    await initialise(binFolder, data, root, password, user);
    const port = options.port ?? (await freePort());
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    const start = () => launch(binFolder, data, port, url, user);
    return runningServer(await start(), { url, port, signal: 'SIGINT', start, stop, remove });
  } catch (error) {
    await remove();
    throw error;
  }
}

async function initialise(
  binFolder: string,
  data: string,
  root: string,
  password: string,
  user: ServerUser | undefined,
): Promise<void> {
  const passwordFile = join(root, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (user !== undefined) await chown(passwordFile, user.uid, user.gid);
  const flags = ['--auth=scram-sha-256', '--username=postgres', '--encoding=UTF8', '--locale=C', '--no-sync'];
  try {
    await promisify(execFile)(join(binFolder, 'initdb'), ['-D', data, `--pwfile=${passwordFile}`, ...flags], {
      ...user,
      cwd: root,
      env: serverEnvironment(),
    });
  } catch (error) {
    throw new LongshoreError('DATABASE_UNREACHABLE', 'Cannot start an embedded PostgreSQL: initdb failed', {
      hint: (error as { stderr?: string }).stderr?.trim().split('\n').at(-1),
      cause: error,
    });
  } finally {
    await rm(passwordFile, { force: true });
  }
}

async function launch(
  binFolder: string,
  data: string,
  port: number,
  url: string,
  user: ServerUser | undefined,
): Promise<ChildProcess> {
  const program = join(binFolder, 'postgres');
  const settings = Object.entries({ ...SETTINGS, port: String(port) }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const posix = process.platform !== 'win32';
  const [command, flags] = posix
    ? watched(program, ['-D', data, ...settings], 'INT')
    : [program, ['-D', data, ...settings]];
  const server = spawn(command, flags, {
    ...user,
    cwd: data,
    env: serverEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    detached: posix,
  });
  let log = '';
  server.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-4000);
  });
  const failed = new Promise<string>((resolve) => {
    server.once('error', (error) => resolve(error.message));
    server.once('exit', (code) => resolve(`exit code ${code}`));
  });
  await ready(url, failed, () => log);
  // Neither the server nor its pipes keep this process from ending.
  server.unref();
  for (const pipe of [server.stderr, server.stdio[3]]) (pipe as unknown as { unref?: () => void }).unref?.();
  return server;
}

/** Asks until the server answers. */
async function ready(url: string, failed: Promise<string>, log: () => string): Promise<void> {
  const deadlineMs = Date.now() + START_TIMEOUT_MS;
  let failure: string | undefined;
  void failed.then((reason) => {
    failure = reason;
  });
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.end();
      return;
    } catch {
      await client.end().catch(() => {});
    }
    if (failure !== undefined || Date.now() > deadlineMs) {
      throw new LongshoreError(
        'DATABASE_UNREACHABLE',
        `Cannot start an embedded PostgreSQL: ${failure ?? 'no answer'}`,
        {
          hint: log().trim().split('\n').slice(-3).join('; ') || undefined,
        },
      );
    }
    await delay(20);
  }
}

/** Fast shutdown: connections are cut, what is committed stays. */
async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.ref();
  server.kill('SIGINT');
  const timer = setTimeout(() => server.kill('SIGKILL'), 20_000);
  await ended;
  clearTimeout(timer);
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
