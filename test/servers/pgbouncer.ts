/** A PgBouncer before a PostgreSQL server, pooling by transactions. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../src/embedded/postgres.ts';

export interface Pgbouncer extends AsyncDisposable {
  /** Of the same database and user as the server's URL. */
  readonly url: string;
}

/** Whether it is installed. For `describe.skipIf`. */
export function pgbouncerAvailable(): boolean {
  return program() !== undefined;
}

/** @param url of the server, with user and password */
export async function startPgbouncer(url: string): Promise<Pgbouncer> {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-pgbouncer-'));
  // As root it runs as another user, who must read its configuration.
  chmodSync(folder, 0o755);
  const server = new URL(url);
  const port = await freePort();
  const database = server.pathname.slice(1);
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    `[databases]
${database} = host=${server.hostname} port=${server.port} user=${server.username} password=${server.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
`,
  );
  const asRoot = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(program()!, [...asRoot, join(folder, 'pgbouncer.ini')], { stdio: 'ignore' });
  await untilItAnswers(port);
  const own = new URL(url);
  own.port = String(port);
  return {
    url: own.href,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function program(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, 'pgbouncer')).find((path) => existsSync(path));
}

async function untilItAnswers(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const socket = createConnection(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      // Not yet.
      await delay(25);
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`PgBouncer does not listen on ${port}`);
}
