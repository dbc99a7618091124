/** What is done beside a replication into DuckDB: others read, and it is verified, planned and asked for its status. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { duckDbJob } from '../../../../test/worlds/duckdb-job.ts';
import { planReplication } from '../plan.ts';
import type { ReplicateOptions } from '../settings.ts';
import { replicateStatus } from '../status.ts';
import { verifyReplica } from '../verify.ts';

const job = duckDbJob();

describe('readers', () => {
  test('read while the job runs, and are waited for', async () => {
    await job.database.sql(`CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')`);
    await job.run({ timestampColumn: 'changed' });
    await job.database.sql(`UPDATE t SET v = 'eins'`);
    const reading = await openElsewhere(job.reader.path);
    const running = job.run({ timestampColumn: 'changed' });
    await vi.waitFor(() => expect(job.notices).toHaveLength(1), 20_000);
    expect(job.notices[0]).toContain('another program has');
    reading.close();
    await running;
    const [row] = await job.reader.ask(
      'SELECT v, changed > now()::TIMESTAMP - INTERVAL 1 hour AS fresh FROM w.public.t',
    );
    expect(row).toEqual({ v: 'eins', fresh: true });
  });
});

/** Opens the database in another process, for reading. */
async function openElsewhere(path: string): Promise<{ close(): void }> {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { DuckDBInstance } from '@duckdb/node-api';
      globalThis.open = await DuckDBInstance.create(process.argv[1], { access_mode: 'READ_ONLY' });
      console.log('open'); process.stdin.resume();`,
      path,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  await once(child.stdout, 'data');
  return { close: () => child.stdin.end() };
}

describe('beside the run', () => {
  const verify = (more: Partial<ReplicateOptions> = {}) => verifyReplica(job.options(more));

  beforeEach(async () => {
    await job.land(`CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(20, 4), at timestamptz, d date, tt time, b boolean, raw bytea, j jsonb, u uuid, f float8);
      INSERT INTO t SELECT i, 'v' || i, i / 3.0, '2026-01-01'::timestamptz + i * interval '1 ms', '2026-01-01', '00:00', i % 2 = 0, decode(md5(i::text), 'hex'),
        '{"é": 1}', md5(i::text)::uuid, -0.0 FROM generate_series(1, 3000) i;
      INSERT INTO t VALUES (0, NULL, 'NaN', 'infinity', '-infinity', '24:00', NULL, NULL, NULL, NULL, 'NaN'), (-1, 'last', 1, '294250-01-01', 'infinity', NULL, NULL, NULL, '"é\\ud83d\\ude00"', NULL, 0);
      CREATE TABLE keyless (a int, j json); ALTER TABLE keyless REPLICA IDENTITY FULL; INSERT INTO keyless SELECT i % 3, '"\ud800"' FROM generate_series(1, 10) i`);
  });

  test('verification compares every value, and names the rows that differ', async () => {
    await job.database.sql(`UPDATE t SET v = 'changed' WHERE id % 7 = 0; DELETE FROM t WHERE id > 0 AND id % 11 = 0; UPDATE t SET id = -id WHERE id % 13 = 0;
      UPDATE keyless SET j = '1' WHERE a = 1; DELETE FROM keyless WHERE a = 2`);
    expect(await verify()).toMatchObject({ differences: 0 });
    await job.expectSame('t', 'keyless');
    const publication = `longshore_${job.name}`;
    await job.database.sql(`ALTER PUBLICATION ${publication} DROP TABLE t; SET session_replication_role = replica;
      UPDATE t SET n = n + 0.0001 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t (id) VALUES (100000); UPDATE t SET at = '294251-01-01' WHERE id = -1;
      UPDATE t SET at = '-infinity' WHERE id = 0; UPDATE t SET j = '{}' WHERE id = 3`);
    await job.database.sql(`ALTER PUBLICATION ${publication} ADD TABLE t`);
    const { tables, differences } = await verify();
    expect(differences).toBe(6);
    expect(
      tables.flatMap(({ differences: found }) => found.map(({ key, what }) => `${key} ${what}`)).toSorted(),
    ).toEqual([
      '["-1"] different',
      '["0"] different',
      '["1"] different',
      '["100000"] only in the table',
      '["2"] only in the target',
      '["3"] different',
    ]);
    expect(job.staged()).toEqual([]);
  });

  test('verification holds at one place of the log while a program writes', async () => {
    await using session = await job.database.session();
    let stop = false;
    const writing = (async () => {
      for (let i = 0; !stop; i++)
        await session.sql(
          `UPDATE t SET v = 'w${i}' WHERE id % 50 = ${i % 50}; INSERT INTO keyless VALUES (${i % 4})`,
        );
    })();
    const verified = await verify();
    stop = true;
    await writing;
    expect(verified.differences).toBe(0);
    await job.run();
    await job.expectSame('t', 'keyless');
  });

  test('verification of columns of which no change has told yet', async () => {
    await job.database.sql(
      'ALTER TABLE t RENAME v TO w; ALTER TABLE t ADD COLUMN n2 int DEFAULT 3; ALTER TABLE t DROP COLUMN raw',
    );
    expect(await verify()).toMatchObject({ differences: 0 });
    await job.database.sql('ALTER TABLE keyless ADD COLUMN at timestamptz DEFAULT clock_timestamp()');
    expect((await verify()).differences).toBeGreaterThan(0);
  });

  test('verification of a column that was dropped and made again: no change ever tells', async () => {
    await job.land(
      `ALTER TABLE t DROP COLUMN f; ALTER TABLE t ADD COLUMN f float8; UPDATE t SET f = 1 WHERE id = 1`,
    );
    const found = new Map(
      (await verify()).tables.map(({ table, differencesCount }) => [table, differencesCount]),
    );
    expect([found.get('keyless'), found.get('t')! > 0]).toEqual([0, true]);
    await job.run({ resync: ['*.*'] });
    await job.expectSame('t', 'keyless');
    expect(await verify()).toMatchObject({ differences: 0 });
  });

  test('the plan has the types of DuckDB, and the status the checkpoint', async () => {
    const { tables, to } = await planReplication(job.options());
    expect(to).toBe(job.options().to);
    const columns = tables.find(({ name }) => name === 'public.t')!.columns;
    expect(columns.map(({ name, duckdb, unfit }) => [name, duckdb, unfit])).toEqual(
      expect.arrayContaining([
        ['u', 'UUID', undefined],
        ['at', 'TIMESTAMPTZ', 'after the year 294246'],
        ['d', 'DATE', undefined],
        ['n', 'DECIMAL(20,4)', 'NaN'],
      ]),
    );
    const status = await replicateStatus({
      to: job.options().to,
      name: job.options().name!,
      from: job.database.url,
    });
    expect(status).toMatchObject({
      epoch: 0,
      tables: [{ table: 'keyless' }, { table: 't', fullLoadRows: 3002 }],
    });
  });
});
