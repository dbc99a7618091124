/** The embedded server starts wherever the project is, and leaves nothing behind. */

import { spawn } from 'node:child_process';
import { chmod, cp, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import pg from 'pg';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { startPostgres } from './postgres.ts';
import { packagedBinFolder } from './postgres-binaries.ts';

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows[0] as unknown[];
  } finally {
    await client.end();
  }
}

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

describe('startPostgres', () => {
  it('runs the packaged server, keeps its data over a restart, and cleans up', async () => {
    {
      await using server = await startPostgres();
      expect(await readdir(parent)).toHaveLength(1);
      expect(new URL(server.url).port).toBe(String(server.port));
      const settings =
        "SELECT current_setting('wal_level'), current_setting('TimeZone'), current_setting('server_encoding'), current_setting('fsync')";
      expect(await ask(server.url, settings)).toEqual(['logical', 'UTC', 'UTF8', 'off']);
      await ask(server.url, 'CREATE TABLE kept (a int)');
      await server.restart();
      expect(await ask(server.url, 'SELECT count(*)::int FROM kept')).toEqual([0]);
      const wrong = server.url.replace(/:[^:@]+@/, ':wrong@');
      await expect(ask(wrong, 'SELECT 1')).rejects.toThrow(/password/);
    }
    expect(await readdir(parent)).toEqual([]);
  });

  it('runs from a folder that only its owner can reach', async () => {
    const hidden = await mkdtemp(join(tmpdir(), 'longshore-hidden-'));
    try {
      expect((await stat(hidden)).mode & 0o777).toBe(0o700);
      await cp(join(await packagedBinFolder(), '..'), join(hidden, 'native'), {
        recursive: true,
        verbatimSymlinks: true,
      });
      await using server = await startPostgres({ binFolder: join(hidden, 'native', 'bin') });
      expect(await ask(server.url, 'SELECT 1')).toEqual([1]);
    } finally {
      await rm(hidden, { recursive: true });
    }
  });

  it('stops when its parent is killed', async () => {
    const script = `
      const { startPostgres } = await import(${JSON.stringify(new URL('./postgres.ts', import.meta.url).href)});
      const server = await startPostgres();
      process.stdout.write(server.url + ' ', () => process.kill(process.pid, 'SIGKILL'));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const url = (await text(child.stdout)).trim();
    expect(url).toMatch(/^postgres:/);
    await expect
      .poll(() => ask(url, 'SELECT 1').catch((error: { code?: string }) => error.code), { timeout: 10_000 })
      .toBe('ECONNREFUSED');
  });

  it('says what is wrong with a folder without PostgreSQL', async () => {
    await expect(startPostgres({ binFolder: '/nonexistent' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});
