import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createConnection } from 'mysql2/promise';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { mariadbAvailable } from '../../test/servers/mariadb.ts';
import { startMariadb } from './mariadb.ts';
import { mariadbInstalled } from './mariadb-binaries.ts';

/** Servers of other tests have folders of their own. */
let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'longshore-servers-'));
  // The server runs as another user where we are root.
  await chmod(parent, 0o755);
  vi.stubEnv('TMPDIR', parent);
  return async () => {
    vi.unstubAllEnvs();
    await rm(parent, { recursive: true, maxRetries: 10 });
  };
});

async function ask(url: string, sql: string): Promise<unknown> {
  const connection = await createConnection({ uri: url });
  try {
    const [rows] = await connection.query({ sql, rowsAsArray: true });
    return (rows as unknown[][])[0]?.[0];
  } finally {
    await connection.end();
  }
}

describe.skipIf(!mariadbAvailable() || mariadbInstalled() === undefined)('startMariadb', () => {
  it('runs an installed server that only its password opens, keeps its data over a restart, and cleans up', async () => {
    {
      await using server = await startMariadb();
      const [folder] = await readdir(parent);
      expect((await stat(join(parent, folder!))).mode & 0o777).toBe(0o700);
      expect(new URL(server.url).port).toBe(String(server.port));
      expect(await ask(server.url, 'SELECT VERSION()')).toContain(mariadbInstalled()!.version);
      await ask(server.url, 'CREATE DATABASE kept');
      await server.restart();
      expect(await ask(server.url, "SHOW DATABASES LIKE 'kept'")).toBe('kept');
      await expect(ask(server.url.replace(/:[^:@]+@/, '@'), 'SELECT 1')).rejects.toThrow(/denied/);
      await expect(ask(server.url.replace(/root:[^:@]+@/, 'x@'), 'SELECT 1')).rejects.toThrow(/denied/);
    }
    expect(await readdir(parent)).toEqual([]);
  });

  it('stops when its parent is killed', async () => {
    const script = `
      const { startMariadb } = await import(${JSON.stringify(new URL('./mariadb.ts', import.meta.url).href)});
      const server = await startMariadb();
      process.stdout.write(server.url + ' ', () => process.kill(process.pid, 'SIGKILL'));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const url = (await text(child.stdout)).trim();
    expect(url).toMatch(/^mysql:/);
    await expect
      .poll(() => ask(url, 'SELECT 1').catch((error: { code?: string }) => error.code), { timeout: 20_000 })
      .toBe('ECONNREFUSED');
  });

  it('says what is wrong with programs that do not run', async () => {
    await expect(startMariadb({ serverPrograms: { server: '/nonexistent' } })).rejects.toMatchObject({
      code: 'DATABASE_UNREACHABLE',
    });
  });
});
