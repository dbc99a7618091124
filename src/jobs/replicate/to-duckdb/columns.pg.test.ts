/** Columns of tables that change, and tables that come and go, in a DuckDB database. */

import { beforeEach, describe, expect, test } from 'vitest';
import { duckDbJob } from '../../../../test/worlds/duckdb-job.ts';

const job = duckDbJob();

describe('columns that change', () => {
  beforeEach(async () => {
    await job.land(`CREATE TABLE t (id int PRIMARY KEY, a int, b text, c numeric(10,2));
      INSERT INTO t SELECT i, i, 'b' || i, i FROM generate_series(1, 50) i`);
  });

  test('added, with and without a default that is kept with the column', async () => {
    await job.land(`INSERT INTO t VALUES (51, 51); ALTER TABLE t ADD COLUMN plain text, ADD COLUMN n int DEFAULT 7, ADD COLUMN raw bytea DEFAULT '\\x00ff',
      ADD COLUMN tags text[] DEFAULT '{a,"b c"}', ADD COLUMN at timestamptz DEFAULT now(), ADD COLUMN day date DEFAULT 'infinity';
      ALTER TABLE t ALTER n DROP DEFAULT; INSERT INTO t (id, n) VALUES (52, NULL); UPDATE t SET plain = 'p' WHERE id = 1`);
    await job.expectSame('t');
    expect(job.notices).toEqual([]);
  });

  test('added, with a value of its own in each row: the table is loaded again', async () => {
    await job.land(
      `ALTER TABLE t ADD COLUMN u uuid DEFAULT gen_random_uuid(); UPDATE t SET b = 'x' WHERE id = 1`,
    );
    await job.expectSame('t');
    expect(job.notices).toEqual(['public.t is loaded again: its new column u has a value in every row']);
    await job.land(`UPDATE t SET b = 'y' WHERE id = 2; DELETE FROM t WHERE id = 3`);
    await job.expectSame('t');
    expect(job.staged()).toEqual([]);
  });

  test('renamed, dropped, and in one go', async () => {
    await job.land(
      `UPDATE t SET a = 0 WHERE id = 1; ALTER TABLE t RENAME a TO x; UPDATE t SET x = 1 WHERE id = 2; ALTER TABLE t RENAME x TO y`,
    );
    await job.land(`UPDATE t SET b = 'seen' WHERE id = 3; ALTER TABLE t DROP COLUMN c; UPDATE t SET b = 'without' WHERE id = 4;
      ALTER TABLE t ADD COLUMN c text; UPDATE t SET c = 'new' WHERE id = 5`);
    await job.expectSame('t');
    await job.land(
      `ALTER TABLE t RENAME y TO swap; ALTER TABLE t RENAME b TO y; ALTER TABLE t RENAME swap TO b; UPDATE t SET y = 'last' WHERE id = 6`,
    );
    await job.expectSame('t');
    expect(job.notices).toEqual([]);
  });

  test.each([
    ['a', 'bigint USING a * 100', 'BIGINT'],
    ['c', 'numeric(12,3)', 'DECIMAL(12,3)'],
    ['b', 'uuid USING md5(b)::uuid', 'UUID'],
  ])('of %s to %s: the table is loaded again', async (column, type, wanted) => {
    await job.land(`ALTER TABLE t ALTER ${column} TYPE ${type}; DELETE FROM t WHERE id = 1`);
    await job.expectSame('t');
    expect(job.notices).toEqual([`public.t is loaded again: its column ${column} has another type`]);
    expect((await job.reader.columns('public', 't')).find(({ name }) => name === column)?.type).toBe(wanted);
  });

  test('of a key, and of values that stand aside', async () => {
    await job.land(`INSERT INTO t VALUES (60, 60, 'x', 'NaN'), (61, 61, 'x', 'NaN')`);
    await job.land(`UPDATE t SET b = 'y' WHERE id = 60; ALTER TABLE t RENAME c TO price; ALTER TABLE t RENAME id TO nr; DELETE FROM t WHERE nr = 1;
      UPDATE t SET price = 'NaN' WHERE nr = 2`);
    await job.expectSame('t');
    expect(job.notices).toEqual([]);
    await job.land(`ALTER TABLE t ADD COLUMN c numeric(3,1) DEFAULT 'NaN'; UPDATE t SET a = 0 WHERE nr = 3`);
    await job.expectSame('t');
    expect(job.notices).toEqual(['public.t is loaded again: its new column c has a value in every row']);
    await job.database.sql(
      `UPDATE t SET a = 1 WHERE nr = 4; ALTER TABLE t DROP COLUMN nr; ALTER TABLE t ADD PRIMARY KEY (b, a); UPDATE t SET a = 5 WHERE a = 5`,
    );
    await expect(job.run()).resolves.toBeDefined();
    await job.expectSame('t');
  });

  test('while the job runs: a table is loaded again by the way', async () => {
    const stop = new AbortController();
    let loaded!: () => void;
    const again = new Promise<void>((resolve) => {
      loaded = resolve;
    });
    const running = job.run(
      { untilCaughtUp: false },
      { signal: stop.signal, emit: ({ type }) => type === 'load-finished' && loaded() },
    );
    await job.database.sql(
      `ALTER TABLE t ADD COLUMN u uuid DEFAULT gen_random_uuid(); UPDATE t SET b = 'x' WHERE id = 1`,
    );
    await again;
    stop.abort(new Error('stopped'));
    await expect(running).rejects.toThrow('stopped');
    await job.expectSame('t');
  });

  test('a type that keeps every value is no other one', async () => {
    await job.land(`CREATE TABLE w (id int PRIMARY KEY, v varchar(5)); INSERT INTO w VALUES (1, 'a')`);
    await job.land(`ALTER TABLE w ALTER v TYPE text; INSERT INTO w VALUES (2, 'longer than five')`);
    await job.expectSame('w');
    expect(job.notices).toEqual([]);
  });
});

describe('tables that come and go', () => {
  test('called otherwise for a while: it is loaded again', async () => {
    await job.land(
      `CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b SELECT i, 'b' FROM generate_series(1, 100) i`,
    );
    await job.land(`INSERT INTO b VALUES (101, 'before'); ALTER TABLE b RENAME TO other; INSERT INTO other VALUES (102, 'then');
      UPDATE other SET v = 'then' WHERE id = 1; ALTER TABLE other RENAME TO b; INSERT INTO b VALUES (103, 'after')`);
    await job.expectSame('b');
    await job.land('DELETE FROM b WHERE id < 50');
    await job.expectSame('b');
  });

  test('made, dropped, made again, renamed, and loaded again on request', async () => {
    await job.land(
      `CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'x')`,
    );
    await job.land(
      `CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1), (2); DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY, other text); INSERT INTO a VALUES (5, 'o')`,
    );
    await job.land('INSERT INTO c VALUES (3); DELETE FROM c WHERE id = 1');
    await job.expectSame('a', 'b', 'c');
    await job.land('ALTER TABLE b RENAME TO d; INSERT INTO d VALUES (2)');
    await job.expectSame('a', 'c', 'd');
    expect(await job.reader.ask('SELECT count(*)::INTEGER AS n FROM w.public.b')).toEqual([{ n: 1 }]);
    expect(job.notices).toEqual(['public.b left the job: its table in DuckDB stays as it is']);
    await job.run({ resync: ['*.*'] });
    await job.expectSame('a', 'c', 'd');
    expect(job.staged()).toEqual([]);
  });
});
