/** PostgreSQL into a DuckDB database: full loads, and changes of every kind. */

import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { duckDbJob } from '../../../../test/worlds/duckdb-job.ts';
import { expectWarehouse, WarehouseReader } from '../../../../test/worlds/warehouse.ts';
import { dropReplicationOf } from '../run.ts';

const job = duckDbJob();

describe('a full load', () => {
  test('tables, types, and nothing left beside the database', async () => {
    await job.database.sql(`CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE SCHEMA sales;
      CREATE TABLE t (id bigint PRIMARY KEY, u uuid, j json, b jsonb, m mood, n numeric(10,2), free numeric, at timestamptz,
        local timestamp, d date, tt time, f real, g double precision, raw bytea, tags text[], ok boolean, small smallint,
        i interval, twice bigint GENERATED ALWAYS AS (id * 2) STORED);
      INSERT INTO t SELECT i, gen_random_uuid(), ('{"a" :  ' || i || '}')::json, jsonb_build_object('a', i), 'sad', i / 4.0, i / 3.0,
        '2026-01-01'::timestamptz + i * interval '1.000001 s', '2026-01-01'::timestamp + i * interval '1 day', '2026-01-01'::date + i,
        '00:00'::time + i * interval '1 s', i / 3.0, i / 7.0, decode(md5(i::text), 'hex'), ARRAY['x', i::text, NULL], i % 2 = 0, i % 100,
        i * interval '1 hour' FROM generate_series(1, 3000) i;
      INSERT INTO t (id) VALUES (0);
      CREATE TABLE empty (id int PRIMARY KEY, at timestamptz); CREATE TABLE sales.t (id int PRIMARY KEY); INSERT INTO sales.t VALUES (7)`);
    const summary = await job.run({ maxFileSize: 64 * 1024 });
    expect(summary.loaded.rows).toBe(3002);
    await job.expectSame('t', 'empty');
    await expectWarehouse(job.reader, job.oracle, ['t'], { schema: 'sales', rowsMin: 1 });
    expect(
      Object.fromEntries((await job.reader.columns('public', 't')).map(({ name, type }) => [name, type])),
    ).toEqual({
      id: 'BIGINT',
      u: 'UUID',
      j: 'JSON',
      b: 'JSON',
      m: 'VARCHAR',
      n: 'DECIMAL(10,2)',
      free: 'VARCHAR',
      at: 'TIMESTAMP WITH TIME ZONE',
      local: 'TIMESTAMP',
      d: 'DATE',
      tt: 'TIME',
      f: 'FLOAT',
      g: 'DOUBLE',
      raw: 'BLOB',
      tags: 'VARCHAR',
      ok: 'BOOLEAN',
      small: 'SMALLINT',
      i: 'VARCHAR',
    });
    expect(job.staged()).toEqual([]);
    const [checkpoint] = await job.reader.ask('SELECT job, epoch, lsn FROM w.longshore.checkpoint');
    expect(checkpoint).toEqual({ job: job.name, epoch: 0n, lsn: expect.stringMatching(/^\w+\/\w+$/) });
  });

  test('alone, with what is generated', async () => {
    await job.database.sql(`CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
      INSERT INTO t SELECT i FROM generate_series(1, 10) i`);
    await job.run({ mode: 'full-load' });
    expect(await job.reader.ask('SELECT sum(twice)::INTEGER AS sum FROM w.public.t')).toEqual([{ sum: 110 }]);
    await expect(job.run({ mode: 'full-load' })).rejects.toThrow('has loaded already');
  });

  test('values at the ends: DuckDB has its own, and what it has not stands aside', async () => {
    await job.land(`CREATE TABLE t (id int PRIMARY KEY, d date, at timestamptz, local timestamp, tt time, n numeric(5,1), j json);
      INSERT INTO t VALUES (1, 'infinity', '-infinity', 'infinity', '24:00:00', 1.5, '{}'),
        (2, '4713-01-01 BC', '4713-01-01 00:00:00+00 BC', '294247-01-10 04:00:54.775806', '00:00', -1.5, 'null'); INSERT INTO t VALUES (3)`);
    await job.expectSame('t');
    expect((await job.reader.columns('public', 't')).map(({ name }) => name)).not.toContain('_unfit');
    await job.land(
      `INSERT INTO t VALUES (4, NULL, '294247-01-10 04:00:54.775807+00', '294250-01-01', NULL, 'NaN', '"\\ud800"')`,
    );
    await job.expectSame('t');
    expect(await job.reader.ask('SELECT _unfit::VARCHAR AS unfit FROM w.public.t WHERE id = 4')).toEqual([
      {
        unfit:
          '{"at":"294247-01-10 04:00:54.775807+00","local":"294250-01-01 00:00:00","n":"NaN","j":"\\"\\\\ud800\\""}',
      },
    ]);
    await job.land(`UPDATE t SET n = 1, j = '1' WHERE id = 4; UPDATE t SET n = 'NaN' WHERE id = 1`);
    await job.expectSame('t');
  });

  test('a table that is there already is not touched', async () => {
    await job.database.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
    await job.run({ mode: 'full-load', name: 'other' });
    await expect(job.run()).rejects.toThrow('has a table public.t already, and not of this job');
    expect(
      await job.database.sql('SELECT FROM pg_replication_slots WHERE database = current_database()'),
    ).toEqual([]);
  });

  test('the folder of the database is missing', async () => {
    await job.database.sql('CREATE TABLE t (id int PRIMARY KEY)');
    await expect(job.run({ to: `duckdb://${job.folder}/absent/shop.duckdb` })).rejects.toMatchObject({
      code: 'BUCKET_NOT_FOUND',
    });
  });
});

describe('changes', () => {
  beforeEach(async () => {
    await job.land(`CREATE TABLE t (id int PRIMARY KEY, v text, doc jsonb);
      INSERT INTO t SELECT i, 'v' || i, jsonb_build_object('i', i) FROM generate_series(1, 100) i`);
  });

  test('each row is what its last change makes of it', async () => {
    await job.land(`UPDATE t SET v = 'a' WHERE id < 20; UPDATE t SET v = 'b' WHERE id < 10; DELETE FROM t WHERE id % 7 = 0;
      INSERT INTO t VALUES (7, 'again', NULL), (200, 'new', '{}'), (201, 'gone', '{}'); DELETE FROM t WHERE id = 201;
      UPDATE t SET id = id + 1000 WHERE id BETWEEN 30 AND 40; UPDATE t SET id = 30 WHERE id = 1031;
      BEGIN; UPDATE t SET v = 'undone'; ROLLBACK`);
    await job.expectSame('t');
    await job.land(`DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (7, 'third', NULL)`);
    await job.expectSame('t');
    expect(job.staged()).toEqual([]);
  });

  test('a value that an update leaves out is the one that the row had', async () => {
    const large = (seed: string) =>
      `(SELECT to_jsonb(string_agg(md5('${seed}' || i), '')) FROM generate_series(1, 100) i)`;
    await job.land(`UPDATE t SET doc = ${large('a')} WHERE id <= 10`);
    // Of these, the table has no row or another value by the time that the update is landed.
    await job.land(`UPDATE t SET v = 'left' WHERE id <= 10; UPDATE t SET doc = ${large('b')} WHERE id = 1; UPDATE t SET v = 'more' WHERE id = 1;
      UPDATE t SET id = 500, v = 'moved' WHERE id = 2; UPDATE t SET doc = NULL WHERE id = 3; DELETE FROM t WHERE id = 4;
      UPDATE t SET doc = ${large('c')} WHERE id = 5; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 'new', ${large('d')}); UPDATE t SET v = 'x' WHERE id = 5`);
    await job.expectSame('t');
  });

  test('truncations, in their place among changes', async () => {
    await job.land(`UPDATE t SET v = 'void'; TRUNCATE t; INSERT INTO t VALUES (1, 'first', NULL);
      BEGIN; INSERT INTO t VALUES (2, 'void', NULL); TRUNCATE t; INSERT INTO t VALUES (2, 'second', '[]'); COMMIT; UPDATE t SET v = 'last'`);
    await job.expectSame('t');
    await job.land('TRUNCATE t');
    await job.expectSame('t');
    expect(await job.reader.ask('SELECT count(*)::INTEGER AS n FROM w.public.t')).toEqual([{ n: 0 }]);
  });

  test('without a full load', async () => {
    await job.run({ mode: 'cdc', name: `${job.name}_cdc`, to: `duckdb://${job.folder}/cdc.duckdb` });
    await job.database.sql(
      `UPDATE t SET v = 'seen' WHERE id = 1; INSERT INTO t VALUES (300, 'new', NULL); DELETE FROM t WHERE id = 2`,
    );
    await job.run({ mode: 'cdc', name: `${job.name}_cdc`, to: `duckdb://${job.folder}/cdc.duckdb` });
    const rows = await new WarehouseReader(join(job.folder, 'cdc.duckdb')).ask(
      'SELECT id, v FROM w.public.t ORDER BY id',
    );
    expect(rows).toEqual([
      { id: 1, v: 'seen' },
      { id: 300, v: 'new' },
    ]);
    await dropReplicationOf(job.options({ name: `${job.name}_cdc` }));
  });
});

describe('identities', () => {
  test('without a key, whole rows come and go one by one', async () => {
    await job.land(`CREATE TABLE t (a int, b text, f float8, n numeric(4,1), "rowid" int); ALTER TABLE t REPLICA IDENTITY FULL;
      INSERT INTO t SELECT i % 3, 'x', CASE i % 2 WHEN 0 THEN '-0'::float8 ELSE 0 END, 'NaN', NULL FROM generate_series(1, 20) i;
      INSERT INTO t SELECT FROM generate_series(1, 3)`);
    await job.expectSame('t');
    await job.land(`DELETE FROM t WHERE ctid IN (SELECT min(ctid) FROM t WHERE a = 1 GROUP BY f::text); DELETE FROM t WHERE a = 2 AND f::text = '-0';
      UPDATE t SET b = 'y', n = 1 WHERE a = 0; INSERT INTO t SELECT 5, 'twice' FROM generate_series(1, 2); DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a = 5);
      DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a IS NULL)`);
    await job.expectSame('t');
    await job.land(`TRUNCATE t; INSERT INTO t VALUES (1, 'after', 1, 1, 1), (1, 'after', 1, 1, 1)`);
    await job.expectSame('t');
    expect(job.notices).toEqual([]);
  });

  test('of an index, of the whole row beside a key, and one that becomes another', async () => {
    await job.land(`CREATE TABLE i (id int PRIMARY KEY, code text NOT NULL UNIQUE, v text); ALTER TABLE i REPLICA IDENTITY USING INDEX i_code_key;
      CREATE TABLE f (id int, part date, v text, PRIMARY KEY (id, part)); ALTER TABLE f REPLICA IDENTITY FULL;
      CREATE TABLE n (id numeric(4,1) PRIMARY KEY, v text);
      CREATE TABLE c (a int, b text); ALTER TABLE c REPLICA IDENTITY FULL;
      INSERT INTO i SELECT i, 'c' || i, 'v' FROM generate_series(1, 10) i; INSERT INTO f SELECT i, '2026-01-01', 'v' FROM generate_series(1, 10) i;
      INSERT INTO n VALUES (1.5, 'a'), ('NaN', 'b'); INSERT INTO c VALUES (1, 'x'), (1, 'x'), (2, 'x')`);
    await job.database.sql(`UPDATE i SET id = id + 100 WHERE id < 4; UPDATE i SET code = 'new' WHERE id = 5; DELETE FROM i WHERE code = 'c6';
      UPDATE f SET part = 'infinity' WHERE id = 1; UPDATE f SET v = 'w' WHERE id < 4; DELETE FROM f WHERE id = 9;
      UPDATE n SET v = 'c' WHERE id = 'NaN'; INSERT INTO n VALUES (2, 'd')`);
    await job.land(`DELETE FROM c WHERE ctid = (SELECT min(ctid) FROM c WHERE a = 1); INSERT INTO c VALUES (3, 'x');
      ALTER TABLE c ADD PRIMARY KEY (a); ALTER TABLE c REPLICA IDENTITY DEFAULT; UPDATE c SET b = 'y'; DELETE FROM c WHERE a = 2`);
    await job.expectSame('i', 'f', 'n', 'c');
    await job.land(
      `DELETE FROM n WHERE id = 'NaN'; ALTER TABLE c REPLICA IDENTITY FULL; ALTER TABLE c DROP CONSTRAINT c_pkey`,
    );
    await job.land(
      `INSERT INTO c VALUES (1, 'y'), (1, 'y'); DELETE FROM c WHERE ctid = (SELECT min(ctid) FROM c WHERE a = 1)`,
    );
    await job.expectSame('n', 'c');
    expect(job.notices).toEqual([]);
  });

  test('names that are hard to quote', async () => {
    const names = [
      'id',
      ' ',
      'a "quoted" one',
      `it's`,
      '%s',
      '$1',
      '\\',
      '__proto__',
      'select',
      'rowid',
      ',',
      '*',
      'v0',
      'u',
      'longshore_key0',
    ];
    const table = `we're *[a]? {odd} 😀`;
    const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
    await job.database.sql(
      `CREATE SCHEMA "warehouse"; CREATE TABLE "warehouse".${quoted(table)} (${names
        .map((name) => `${quoted(name)} text ${name === '%s' ? 'PRIMARY KEY' : ''}`)
        .join(
          ', ',
        )}); INSERT INTO "warehouse".${quoted(table)} SELECT ${names.map(() => 'i').join(', ')} FROM generate_series(1, 5) i`,
    );
    await job.run();
    await job.land(
      `UPDATE "warehouse".${quoted(table)} SET "v0" = 'x', "*" = NULL WHERE "%s" = '2'; DELETE FROM "warehouse".${quoted(table)} WHERE "%s" = '3'`,
    );
    await expectWarehouse(job.reader, job.oracle, [table], { schema: 'warehouse', rowsMin: 4 });
  });
});
