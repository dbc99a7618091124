/** A server that is set back to a state of before, or crashes: what its slot says by then, and what it must not hide. */

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { debianBinFolder } from '../../../test/servers/postgres.ts';
import { Lake } from '../../../test/worlds/lake.ts';
import { parseLsn } from '../../databases/postgres/lsn.ts';
import { startPostgres } from '../../embedded/postgres.ts';
import { replicate } from './run.ts';
import type { ReplicateOptions } from './settings.ts';
import { verifyReplica } from './verify.ts';

test('a crash of the server is gone on after; a server that was set back is told, however far its log goes by then', async () => {
  const root = mkdtempSync(join(tmpdir(), 'longshore-set-back-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const data = join(root, 'data');
  const copy = join(root, 'copy');
  chmodSync(root, 0o755);
  mkdirSync(data);
  mkdirSync(join(root, 'lake'));
  const binFolder = debianBinFolder();
  await using server = await startPostgres({
    folder: data,
    ...(binFolder === undefined ? {} : { binFolder }),
  });
  const sql = async (text: string): Promise<Record<string, unknown>[]> => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    try {
      return ((await client.query(text)) as pg.QueryResult<Record<string, unknown>>).rows;
    } finally {
      await client.end();
    }
  };
  const options = (more: Partial<ReplicateOptions> = {}): ReplicateOptions => ({
    from: server.url,
    to: `file://${root}/lake/`,
    untilCaughtUp: true,
    every: 50,
    ...more,
  });
  const lake = new Lake(join(root, 'lake'), 'longshore');
  const newest = () => lake.manifests().at(-1)!;
  const confirmed = async () =>
    parseLsn(
      String((await sql('SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots'))[0]!['lsn']),
    );
  /** At once, with nothing written to disk any more. */
  const kill = async () => {
    const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    process.kill(pid, 'SIGQUIT');
    await expect.poll(() => isRunning(pid), { timeout: 10_000 }).toBe(false);
  };
  const crash = async () => {
    await kill();
    await server.restart();
  };
  const fill = (from: number) =>
    sql(`INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(${from}, ${from + 5000}) i`);

  await sql('CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)');
  await replicate(options());
  await sql("INSERT INTO t VALUES (1, 'one'); CHECKPOINT");
  await replicate(options());
  await crash();
  expect(await confirmed()).toBeLessThan(parseLsn(newest().toLsn));
  await sql("UPDATE t SET v = 'two'");
  await replicate(options());
  await crash();
  // Tables that left and log without changes change nothing of that.
  await sql('DROP TABLE u; CREATE TABLE w (id int PRIMARY KEY)');
  await replicate(options());
  await crash();
  await replicate(options());
  expect(lake.contradictions('t')).toEqual([]);

  await sql('CHECKPOINT');
  execFileSync('cp', ['-a', data, copy]);
  await fill(1000);
  await replicate(options());
  expect(newest().lastChange).toMatchObject({ lsn: newest().files[0]!.lastLsn });
  await kill();
  rmSync(data, { recursive: true });
  execFileSync('cp', ['-a', copy, data]);
  rmSync(join(data, 'postmaster.pid'));
  await server.restart();
  expect(await sql('SELECT id FROM t')).toEqual([{ id: 1 }]);
  await expect(replicate(options())).rejects.toThrow('it was set back');
  await fill(20_000);
  await fill(30_000);
  for (const _ of ['once', 'again']) {
    await expect(replicate(options())).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringContaining('is not the one of the files'),
      hint: expect.stringContaining("--resync '*.*'"),
    });
  }
  await replicate(options({ resync: '*.*' }));
  await fill(40_000);
  expect((await verifyReplica(options())).differences).toBe(0);
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
