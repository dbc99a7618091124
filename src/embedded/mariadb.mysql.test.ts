import { spawn } from 'node:child_process';
import { readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createConnection } from 'mysql2/promise';
import { describe, expect, it } from 'vitest';
import { mariadbAvailable } from '../../test/servers/mariadb.ts';
import { startMariadb } from './mariadb.ts';
import { mariadbInstalled } from './mariadb-binaries.ts';

const ours = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('longshore-mariadb-'));

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
    const before = new Set(await ours());
    let folder: string | undefined;
    {
      await using server = await startMariadb();
      folder = (await ours()).find((name) => !before.has(name))!;
      expect((await stat(join(tmpdir(), folder))).mode & 0o777).toBe(0o700);
      expect(new URL(server.url).port).toBe(String(server.port));
      expect(await ask(server.url, 'SELECT VERSION()')).toContain(mariadbInstalled()!.version);
      await ask(server.url, 'CREATE DATABASE kept');
      await server.restart();
      expect(await ask(server.url, "SHOW DATABASES LIKE 'kept'")).toBe('kept');
      await expect(ask(server.url.replace(/:[^:@]+@/, '@'), 'SELECT 1')).rejects.toThrow(/denied/);
      await expect(ask(server.url.replace(/root:[^:@]+@/, 'x@'), 'SELECT 1')).rejects.toThrow(/denied/);
    }
    expect(await ours()).not.toContain(folder);
  });

  it('stops when its parent is killed', async () => {
    const script = `
      const { startMariadb } = await import(${JSON.stringify(new URL('./mariadb.ts', import.meta.url).href)});
      const server = await startMariadb();
      process.stdout.write(server.url + ' ', () => process.kill(process.pid, 'SIGKILL'));`;
    const before = new Set(await ours());
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const url = (await text(child.stdout)).trim();
    expect(url).toMatch(/^mysql:/);
    await expect
      .poll(() => ask(url, 'SELECT 1').catch((error: { code?: string }) => error.code), { timeout: 20_000 })
      .toBe('ECONNREFUSED');
    for (const name of await ours())
      if (!before.has(name)) await rm(join(tmpdir(), name), { recursive: true, force: true, maxRetries: 5 });
  });

  it('says what is wrong with programs that do not run', async () => {
    await expect(startMariadb({ serverPrograms: { server: '/nonexistent' } })).rejects.toMatchObject({
      code: 'DATABASE_UNREACHABLE',
    });
  });
});
