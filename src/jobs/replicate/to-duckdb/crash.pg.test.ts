/** What a process that dies leaves of a replication into DuckDB, and what the next one makes of it. */

import { existsSync, rmSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { duckDbJob } from '../../../../test/worlds/duckdb-job.ts';
import type { ReplicateEnvironment } from '../run.ts';

const job = duckDbJob();

describe('a process that dies', () => {
  const dieAt = (point: string, nth = 1): ReplicateEnvironment => {
    let left = nth;
    return {
      failpoint: (name) => {
        if (name === point && --left === 0) throw new Error('killed');
      },
    };
  };

  beforeEach(async () => {
    await job.database.sql(`CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) i;
      CREATE TABLE k (id int PRIMARY KEY, v text); INSERT INTO k SELECT i, 'x' FROM generate_series(1, 10) i`);
  });

  test.each(['load-landed', 'applied'])('at %s of the load', async (point) => {
    await expect(job.run({}, dieAt(point))).rejects.toThrow('killed');
    await job.land(`INSERT INTO t VALUES (1, 'x'); DELETE FROM k WHERE id = 1`);
    await job.expectSame('t', 'k');
    expect(job.staged()).toEqual([]);
  });

  test('at load-landed of a full load alone', async () => {
    await expect(job.run({ mode: 'full-load' }, dieAt('load-landed'))).rejects.toThrow('killed');
    await job.run({ mode: 'full-load' });
    await job.expectSame('t', 'k');
    await expect(job.run({ mode: 'full-load' })).rejects.toThrow('has loaded already');
  });

  test.each(['manifest-written', 'applied', 'confirmed'])(
    'at %s of an epoch: no change is applied twice',
    async (point) => {
      await job.run();
      for (let i = 0; i < 3; i++) {
        await job.database.sql(
          `INSERT INTO t VALUES (1, 'x'); UPDATE k SET v = v || 'y'; INSERT INTO k VALUES (${100 + i})`,
        );
        await expect(job.run({}, dieAt(point))).rejects.toThrow('killed');
      }
      await job.run();
      await job.expectSame('t', 'k');
      expect(job.staged()).toEqual([]);
    },
  );

  test.each(['load-landed', 'applied'])('at %s of a table that is loaded again', async (point) => {
    await job.run();
    await job.database.sql(
      `ALTER TABLE k ADD COLUMN u uuid DEFAULT gen_random_uuid(); UPDATE k SET v = 'y' WHERE id = 1`,
    );
    await expect(job.run({}, dieAt(point, point === 'applied' ? 2 : 1))).rejects.toThrow('killed');
    await job.run();
    await job.expectSame('t', 'k');
    await expect(job.run({ resync: ['public.t'] }, dieAt(point))).rejects.toThrow('killed');
    await job.run();
    await job.expectSame('t', 'k');
  });

  test('a database that is older than its folder is loaded again', async () => {
    await job.run();
    rmSync(job.reader.path);
    await job.land(`INSERT INTO t VALUES (1, 'x')`);
    await job.expectSame('t', 'k');
    expect(job.notices).toContain('public.t is loaded again: its files are gone');
    rmSync(`${job.reader.path}.longshore`, { recursive: true });
    await expect(job.run()).rejects.toThrow('is at epoch');
    expect(existsSync(job.reader.path)).toBe(true);
  });
});
