/** Runs a real MariaDB or MySQL server, of programs on this machine, in a temporary folder: for drills and the tests. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { LongshoreError } from '../errors.ts';
import { installedPrograms, type MariadbPrograms } from './mariadb-binaries.ts';
import { freePort } from './postgres.ts';
import { type ServerUser, unprivilegedUser } from './postgres-binaries.ts';
import { runningServer } from './running-server.ts';
import { serverEnvironment } from './server-environment.ts';
import { watched } from './watched.ts';

/** Durability is worth nothing in a folder that is thrown away; a dump may hold rows of any size. */
const SETTINGS = [
  '--bind-address=127.0.0.1',
  '--skip-name-resolve',
  '--innodb-flush-log-at-trx-commit=0',
  '--innodb-buffer-pool-size=64M',
  '--max-allowed-packet=1G',
  '--default-time-zone=+00:00',
  // Events of a database that is restored for a look would change it.
  '--event-scheduler=OFF',
];

const START_TIMEOUT_MS = 60_000;

export interface EmbeddedMariadbOptions {
  /** By default those that are installed. */
  readonly serverPrograms?: MariadbPrograms | undefined;
}

/** A running server. Disposing stops it and removes its folder. */
export interface EmbeddedMariadb extends AsyncDisposable {
  /** `mysql://root:…@127.0.0.1:port/mysql`, of a user with every privilege, with a random password. */
  readonly url: string;
  readonly port: number;
  /** Stops the server and starts it on the same port and data. */
  restart(): Promise<void>;
}

/**
 * Starts the server on 127.0.0.1 and waits until it answers. As root it is run by an unprivileged user. When this process
 * is killed the server stops by itself.
 *
 * @throws CONFIG_INVALID where there is no server to run
 * @throws DATABASE_UNREACHABLE where it does not start; the hint holds the end of its log
 */
export async function startMariadb(options: EmbeddedMariadbOptions = {}): Promise<EmbeddedMariadb> {
  const programs = options.serverPrograms ?? installedPrograms();
  if (programs === undefined) {
    throw new LongshoreError('CONFIG_INVALID', 'Cannot start MariaDB: no server is installed', {
      hint: 'install one: apt-get install mariadb-server',
    });
  }
  const user = await unprivilegedUser();
  const root = await mkdtemp(join(tmpdir(), 'longshore-mariadb-'));
  const remove = () => rm(root, { recursive: true, force: true, maxRetries: 5 });
  try {
    if (user !== undefined) await chown(root, user.uid, user.gid);
    const data = join(root, 'data');
    await mkdir(data, { mode: 0o700 });
    if (user !== undefined) await chown(data, user.uid, user.gid);
    await initialise(programs, root, data, user);
    const port = await freePort();
    const password = randomBytes(16).toString('hex');
    const url = `mysql://root:${password}@127.0.0.1:${port}/mysql`;
    const accounts = await writeAccounts(root, password, user);
    const socket = join(root, 'socket');
    const flags = ['--no-defaults', `--datadir=${data}`, `--socket=${socket}`, `--port=${port}`, ...SETTINGS];
    const start = (more: readonly string[]) => launch(programs.server, [...flags, ...more], root, url, user);
    const server = await start([`--init-file=${accounts}`]);
    await rm(accounts);
    return runningServer(server, { url, port, signal: 'SIGTERM', start: () => start([]), stop, remove });
  } catch (error) {
    await remove();
    throw error;
  }
}

async function initialise(
  { server, install }: MariadbPrograms,
  root: string,
  data: string,
  user: ServerUser | undefined,
): Promise<void> {
  const [program, flags] =
    install === undefined
      ? [server, ['--initialize-insecure']]
      : [install, ['--auth-root-authentication-method=normal', '--skip-test-db']];
  try {
    await promisify(execFile)(program, ['--no-defaults', `--datadir=${data}`, ...flags], {
      ...user,
      cwd: root,
      env: serverEnvironment(root),
    });
  } catch (error) {
    const said = error as { stderr?: string; stdout?: string };
    throw new LongshoreError('DATABASE_UNREACHABLE', 'Cannot start MariaDB: no data folder could be made', {
      hint: (said.stderr || said.stdout)?.trim().split('\n').slice(-3).join('; '),
      cause: error,
    });
  }
}

/** Read by the server before anybody can connect: no account is without a password for a moment. */
async function writeAccounts(root: string, password: string, user: ServerUser | undefined): Promise<string> {
  const file = join(root, 'accounts.sql');
  const statements = [
    `ALTER USER root@localhost IDENTIFIED BY '${password}';`,
    "DROP USER IF EXISTS root@'127.0.0.1', root@'::1', ''@localhost;",
    `CREATE USER root@'127.0.0.1' IDENTIFIED BY '${password}';`,
    "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;",
  ];
  await writeFile(file, `${statements.join('\n')}\n`, { mode: 0o600 });
  if (user !== undefined) await chown(file, user.uid, user.gid);
  return file;
}

async function launch(
  program: string,
  flags: readonly string[],
  root: string,
  url: string,
  user: ServerUser | undefined,
): Promise<ChildProcess> {
  const [command, all] = watched(program, flags, 'TERM');
  const server = spawn(command, all, {
    ...user,
    cwd: root,
    env: serverEnvironment(root),
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let log = '';
  server.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-4000);
  });
  let failure: string | undefined;
  server.once('error', (error) => {
    failure = error.message;
  });
  server.once('exit', (code) => {
    failure ??= `exit code ${code}`;
  });
  const deadlineMs = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const connection = await createConnection({ uri: url }).catch(() => undefined);
    if (connection !== undefined) {
      await connection.end();
      break;
    }
    if (failure !== undefined || Date.now() > deadlineMs) {
      await stop(server);
      throw new LongshoreError('DATABASE_UNREACHABLE', `Cannot start MariaDB: ${failure ?? 'no answer'}`, {
        hint: log.trim().split('\n').slice(-3).join('; ') || undefined,
      });
    }
    await delay(30);
  }
  // Neither the server nor its pipes keep this process from ending.
  server.unref();
  for (const pipe of [server.stderr, server.stdio[3]]) (pipe as unknown as { unref?: () => void }).unref?.();
  return server;
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.ref();
  server.kill('SIGTERM');
  // The group: the shell and the server under it.
  const timer = setTimeout(() => process.kill(-server.pid!, 'SIGKILL'), 20_000);
  await ended;
  clearTimeout(timer);
}
