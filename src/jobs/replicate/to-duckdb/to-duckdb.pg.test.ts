/** PostgreSQL into a DuckDB database: full loads, changes of every kind, columns that change, and what a crash leaves. */

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../../test/servers/postgres.ts';
import { PostgresOracle } from '../../../../test/worlds/postgres-oracle.ts';
import { expectWarehouse, WarehouseReader } from '../../../../test/worlds/warehouse.ts';
import type { ReplicateEvent } from '../events.ts';
import { planReplication } from '../plan.ts';
import { dropReplicationOf, type ReplicateEnvironment, replicate } from '../run.ts';
import type { ReplicateOptions } from '../settings.ts';
import { replicateStatus } from '../status.ts';
import { verifyReplica } from '../verify.ts';

let postgres: PostgresServer;
let database: PostgresTestDatabase;
let oracle: PostgresOracle;
let folder: string;
let reader: WarehouseReader;
let notices: string[];
let jobs = 0;
beforeAll(async () => {
  postgres = await postgresServer();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  database = await postgres.createDatabase();
  oracle = await PostgresOracle.open(database.url);
  folder = mkdtempSync(join(tmpdir(), 'longshore-duckdb-'));
  reader = new WarehouseReader(join(folder, 'shop.duckdb'));
  notices = [];
  jobs++;
  return async () => {
    await dropReplicationOf(optionsOf());
    await oracle[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  };
});

const optionsOf = (more: Partial<ReplicateOptions> = {}): ReplicateOptions => ({
  from: database.url,
  to: `duckdb://${folder}/shop.duckdb`,
  name: `duck_${jobs}`,
  untilCaughtUp: true,
  every: 50,
  ...more,
});

const emit = (event: ReplicateEvent): void => {
  if (event.type === 'notice') notices.push(event.text);
};

const run = (more: Partial<ReplicateOptions> = {}, environment: ReplicateEnvironment = {}) =>
  replicate(optionsOf(more), { emit, ...environment });

const same = (...tables: string[]) => expectWarehouse(reader, oracle, tables);

/** Data files that are left beside the database. */
const staged = () =>
  (readdirSync(`${reader.path}.longshore`, { recursive: true }) as string[]).filter((name) =>
    name.endsWith('.parquet'),
  );

describe('a full load', () => {
  test('tables, types, and nothing left beside the database', async () => {
    await database.sql(`CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE SCHEMA sales;
      CREATE TABLE t (id bigint PRIMARY KEY, u uuid, j json, b jsonb, m mood, n numeric(10,2), free numeric, at timestamptz,
        local timestamp, d date, tt time, f real, g double precision, raw bytea, tags text[], ok boolean, small smallint,
        i interval, twice bigint GENERATED ALWAYS AS (id * 2) STORED);
      INSERT INTO t SELECT i, gen_random_uuid(), ('{"a" :  ' || i || '}')::json, jsonb_build_object('a', i), 'sad', i / 4.0, i / 3.0,
        '2026-01-01'::timestamptz + i * interval '1.000001 s', '2026-01-01'::timestamp + i * interval '1 day', '2026-01-01'::date + i,
        '00:00'::time + i * interval '1 s', i / 3.0, i / 7.0, decode(md5(i::text), 'hex'), ARRAY['x', i::text, NULL], i % 2 = 0, i % 100,
        i * interval '1 hour' FROM generate_series(1, 3000) i;
      INSERT INTO t (id) VALUES (0);
      CREATE TABLE empty (id int PRIMARY KEY, at timestamptz); CREATE TABLE sales.t (id int PRIMARY KEY); INSERT INTO sales.t VALUES (7)`);
    const summary = await run({ maxFileSize: 64 * 1024 });
    expect(summary.loaded.rows).toBe(3002);
    await same('t', 'empty');
    await expectWarehouse(reader, oracle, ['t'], { schema: 'sales', rowsMin: 1 });
    expect(
      Object.fromEntries((await reader.columns('public', 't')).map(({ name, type }) => [name, type])),
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
    expect(staged()).toEqual([]);
    const [checkpoint] = await reader.ask('SELECT job, epoch, lsn FROM w.longshore.checkpoint');
    expect(checkpoint).toEqual({ job: `duck_${jobs}`, epoch: 0n, lsn: expect.stringMatching(/^\w+\/\w+$/) });
  });

  test('alone, with what is generated', async () => {
    await database.sql(`CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
      INSERT INTO t SELECT i FROM generate_series(1, 10) i`);
    await run({ mode: 'full-load' });
    expect(await reader.ask('SELECT sum(twice)::INTEGER AS sum FROM w.public.t')).toEqual([{ sum: 110 }]);
    await expect(run({ mode: 'full-load' })).rejects.toThrow('has loaded already');
  });

  test('values at the ends: DuckDB has its own, and what it has not stands aside', async () => {
    await database.sql(`CREATE TABLE t (id int PRIMARY KEY, d date, at timestamptz, local timestamp, tt time, n numeric(5,1), j json);
      INSERT INTO t VALUES (1, 'infinity', '-infinity', 'infinity', '24:00:00', 1.5, '{}'),
        (2, '4713-01-01 BC', '4713-01-01 00:00:00+00 BC', '294247-01-10 04:00:54.775806', '00:00', -1.5, 'null'); INSERT INTO t VALUES (3)`);
    await run();
    await same('t');
    expect((await reader.columns('public', 't')).map(({ name }) => name)).not.toContain('_unfit');
    await database.sql(
      `INSERT INTO t VALUES (4, NULL, '294247-01-10 04:00:54.775807+00', '294250-01-01', NULL, 'NaN', '"\\ud800"')`,
    );
    await run();
    await same('t');
    expect(await reader.ask('SELECT _unfit::VARCHAR AS unfit FROM w.public.t WHERE id = 4')).toEqual([
      {
        unfit:
          '{"at":"294247-01-10 04:00:54.775807+00","local":"294250-01-01 00:00:00","n":"NaN","j":"\\"\\\\ud800\\""}',
      },
    ]);
    await database.sql(`UPDATE t SET n = 1, j = '1' WHERE id = 4; UPDATE t SET n = 'NaN' WHERE id = 1`);
    await run();
    await same('t');
  });

  test('a table that is there already is not touched', async () => {
    await database.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
    await run({ mode: 'full-load', name: 'other' });
    await expect(run()).rejects.toThrow('has a table public.t already, and not of this job');
    expect(
      await database.sql('SELECT FROM pg_replication_slots WHERE database = current_database()'),
    ).toEqual([]);
  });

  test('the folder of the database is missing', async () => {
    await database.sql('CREATE TABLE t (id int PRIMARY KEY)');
    await expect(run({ to: `duckdb://${folder}/absent/shop.duckdb` })).rejects.toMatchObject({
      code: 'BUCKET_NOT_FOUND',
    });
  });
});

describe('changes', () => {
  beforeEach(async () => {
    await database.sql(`CREATE TABLE t (id int PRIMARY KEY, v text, doc jsonb);
      INSERT INTO t SELECT i, 'v' || i, jsonb_build_object('i', i) FROM generate_series(1, 100) i`);
    await run();
  });

  test('each row is what its last change makes of it', async () => {
    await database.sql(`UPDATE t SET v = 'a' WHERE id < 20; UPDATE t SET v = 'b' WHERE id < 10; DELETE FROM t WHERE id % 7 = 0;
      INSERT INTO t VALUES (7, 'again', NULL), (200, 'new', '{}'), (201, 'gone', '{}'); DELETE FROM t WHERE id = 201;
      UPDATE t SET id = id + 1000 WHERE id BETWEEN 30 AND 40; UPDATE t SET id = 30 WHERE id = 1031;
      BEGIN; UPDATE t SET v = 'undone'; ROLLBACK`);
    await run();
    await same('t');
    await database.sql(`DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (7, 'third', NULL)`);
    await run();
    await same('t');
    expect(staged()).toEqual([]);
  });

  test('a value that an update leaves out is the one that the row had', async () => {
    const large = (seed: string) =>
      `(SELECT to_jsonb(string_agg(md5('${seed}' || i), '')) FROM generate_series(1, 100) i)`;
    await database.sql(`UPDATE t SET doc = ${large('a')} WHERE id <= 10`);
    await run();
    // Of these, the table has no row or another value by the time that the update is landed.
    await database.sql(`UPDATE t SET v = 'left' WHERE id <= 10; UPDATE t SET doc = ${large('b')} WHERE id = 1; UPDATE t SET v = 'more' WHERE id = 1;
      UPDATE t SET id = 500, v = 'moved' WHERE id = 2; UPDATE t SET doc = NULL WHERE id = 3; DELETE FROM t WHERE id = 4;
      UPDATE t SET doc = ${large('c')} WHERE id = 5; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 'new', ${large('d')}); UPDATE t SET v = 'x' WHERE id = 5`);
    await run();
    await same('t');
  });

  test('truncations, in their place among changes', async () => {
    await database.sql(`UPDATE t SET v = 'void'; TRUNCATE t; INSERT INTO t VALUES (1, 'first', NULL);
      BEGIN; INSERT INTO t VALUES (2, 'void', NULL); TRUNCATE t; INSERT INTO t VALUES (2, 'second', '[]'); COMMIT; UPDATE t SET v = 'last'`);
    await run();
    await same('t');
    await database.sql('TRUNCATE t');
    await run();
    await same('t');
    expect(await reader.ask('SELECT count(*)::INTEGER AS n FROM w.public.t')).toEqual([{ n: 0 }]);
  });

  test('without a full load', async () => {
    await run({ mode: 'cdc', name: `cdc_${jobs}`, to: `duckdb://${folder}/cdc.duckdb` });
    await database.sql(
      `UPDATE t SET v = 'seen' WHERE id = 1; INSERT INTO t VALUES (300, 'new', NULL); DELETE FROM t WHERE id = 2`,
    );
    await run({ mode: 'cdc', name: `cdc_${jobs}`, to: `duckdb://${folder}/cdc.duckdb` });
    const rows = await new WarehouseReader(join(folder, 'cdc.duckdb')).ask(
      'SELECT id, v FROM w.public.t ORDER BY id',
    );
    expect(rows).toEqual([
      { id: 1, v: 'seen' },
      { id: 300, v: 'new' },
    ]);
    await dropReplicationOf(optionsOf({ name: `cdc_${jobs}` }));
  });
});

describe('identities', () => {
  test('without a key, whole rows come and go one by one', async () => {
    await database.sql(`CREATE TABLE t (a int, b text, f float8, n numeric(4,1), "rowid" int); ALTER TABLE t REPLICA IDENTITY FULL;
      INSERT INTO t SELECT i % 3, 'x', CASE i % 2 WHEN 0 THEN '-0'::float8 ELSE 0 END, 'NaN', NULL FROM generate_series(1, 20) i;
      INSERT INTO t SELECT FROM generate_series(1, 3)`);
    await run();
    await same('t');
    await database.sql(`DELETE FROM t WHERE ctid IN (SELECT min(ctid) FROM t WHERE a = 1 GROUP BY f::text); DELETE FROM t WHERE a = 2 AND f::text = '-0';
      UPDATE t SET b = 'y', n = 1 WHERE a = 0; INSERT INTO t SELECT 5, 'twice' FROM generate_series(1, 2); DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a = 5);
      DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a IS NULL)`);
    await run();
    await same('t');
    await database.sql(`TRUNCATE t; INSERT INTO t VALUES (1, 'after', 1, 1, 1), (1, 'after', 1, 1, 1)`);
    await run();
    await same('t');
    expect(notices).toEqual([]);
  });

  test('of an index, of the whole row beside a key, and one that becomes another', async () => {
    await database.sql(`CREATE TABLE i (id int PRIMARY KEY, code text NOT NULL UNIQUE, v text); ALTER TABLE i REPLICA IDENTITY USING INDEX i_code_key;
      CREATE TABLE f (id int, part date, v text, PRIMARY KEY (id, part)); ALTER TABLE f REPLICA IDENTITY FULL;
      CREATE TABLE n (id numeric(4,1) PRIMARY KEY, v text);
      CREATE TABLE c (a int, b text); ALTER TABLE c REPLICA IDENTITY FULL;
      INSERT INTO i SELECT i, 'c' || i, 'v' FROM generate_series(1, 10) i; INSERT INTO f SELECT i, '2026-01-01', 'v' FROM generate_series(1, 10) i;
      INSERT INTO n VALUES (1.5, 'a'), ('NaN', 'b'); INSERT INTO c VALUES (1, 'x'), (1, 'x'), (2, 'x')`);
    await run();
    await database.sql(`UPDATE i SET id = id + 100 WHERE id < 4; UPDATE i SET code = 'new' WHERE id = 5; DELETE FROM i WHERE code = 'c6';
      UPDATE f SET part = 'infinity' WHERE id = 1; UPDATE f SET v = 'w' WHERE id < 4; DELETE FROM f WHERE id = 9;
      UPDATE n SET v = 'c' WHERE id = 'NaN'; INSERT INTO n VALUES (2, 'd')`);
    await database.sql(`DELETE FROM c WHERE ctid = (SELECT min(ctid) FROM c WHERE a = 1); INSERT INTO c VALUES (3, 'x');
      ALTER TABLE c ADD PRIMARY KEY (a); ALTER TABLE c REPLICA IDENTITY DEFAULT; UPDATE c SET b = 'y'; DELETE FROM c WHERE a = 2`);
    await run();
    await same('i', 'f', 'n', 'c');
    await database.sql(
      `DELETE FROM n WHERE id = 'NaN'; ALTER TABLE c REPLICA IDENTITY FULL; ALTER TABLE c DROP CONSTRAINT c_pkey`,
    );
    await run();
    await database.sql(
      `INSERT INTO c VALUES (1, 'y'), (1, 'y'); DELETE FROM c WHERE ctid = (SELECT min(ctid) FROM c WHERE a = 1)`,
    );
    await run();
    await same('n', 'c');
    expect(notices).toEqual([]);
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
    await database.sql(
      `CREATE SCHEMA "warehouse"; CREATE TABLE "warehouse".${quoted(table)} (${names
        .map((name) => `${quoted(name)} text ${name === '%s' ? 'PRIMARY KEY' : ''}`)
        .join(
          ', ',
        )}); INSERT INTO "warehouse".${quoted(table)} SELECT ${names.map(() => 'i').join(', ')} FROM generate_series(1, 5) i`,
    );
    await run();
    await database.sql(
      `UPDATE "warehouse".${quoted(table)} SET "v0" = 'x', "*" = NULL WHERE "%s" = '2'; DELETE FROM "warehouse".${quoted(table)} WHERE "%s" = '3'`,
    );
    await run();
    await expectWarehouse(reader, oracle, [table], { schema: 'warehouse', rowsMin: 4 });
  });
});

describe('columns that change', () => {
  beforeEach(async () => {
    await database.sql(`CREATE TABLE t (id int PRIMARY KEY, a int, b text, c numeric(10,2));
      INSERT INTO t SELECT i, i, 'b' || i, i FROM generate_series(1, 50) i`);
    await run();
  });

  test('added, with and without a default that is kept with the column', async () => {
    await database.sql(`INSERT INTO t VALUES (51, 51); ALTER TABLE t ADD COLUMN plain text, ADD COLUMN n int DEFAULT 7, ADD COLUMN raw bytea DEFAULT '\\x00ff',
      ADD COLUMN tags text[] DEFAULT '{a,"b c"}', ADD COLUMN at timestamptz DEFAULT now(), ADD COLUMN day date DEFAULT 'infinity';
      ALTER TABLE t ALTER n DROP DEFAULT; INSERT INTO t (id, n) VALUES (52, NULL); UPDATE t SET plain = 'p' WHERE id = 1`);
    await run();
    await same('t');
    expect(notices).toEqual([]);
  });

  test('added, with a value of its own in each row: the table is loaded again', async () => {
    await database.sql(
      `ALTER TABLE t ADD COLUMN u uuid DEFAULT gen_random_uuid(); UPDATE t SET b = 'x' WHERE id = 1`,
    );
    await run();
    await same('t');
    expect(notices).toEqual(['public.t is loaded again: its new column u has a value in every row']);
    await database.sql(`UPDATE t SET b = 'y' WHERE id = 2; DELETE FROM t WHERE id = 3`);
    await run();
    await same('t');
    expect(staged()).toEqual([]);
  });

  test('renamed, dropped, and in one go', async () => {
    await database.sql(
      `UPDATE t SET a = 0 WHERE id = 1; ALTER TABLE t RENAME a TO x; UPDATE t SET x = 1 WHERE id = 2; ALTER TABLE t RENAME x TO y`,
    );
    await run();
    await database.sql(`UPDATE t SET b = 'seen' WHERE id = 3; ALTER TABLE t DROP COLUMN c; UPDATE t SET b = 'without' WHERE id = 4;
      ALTER TABLE t ADD COLUMN c text; UPDATE t SET c = 'new' WHERE id = 5`);
    await run();
    await same('t');
    await database.sql(
      `ALTER TABLE t RENAME y TO swap; ALTER TABLE t RENAME b TO y; ALTER TABLE t RENAME swap TO b; UPDATE t SET y = 'last' WHERE id = 6`,
    );
    await run();
    await same('t');
    expect(notices).toEqual([]);
  });

  test.each([
    ['a', 'bigint USING a * 100', 'BIGINT'],
    ['c', 'numeric(12,3)', 'DECIMAL(12,3)'],
    ['b', 'uuid USING md5(b)::uuid', 'UUID'],
  ])('of %s to %s: the table is loaded again', async (column, type, wanted) => {
    await database.sql(`ALTER TABLE t ALTER ${column} TYPE ${type}; DELETE FROM t WHERE id = 1`);
    await run();
    await same('t');
    expect(notices).toEqual([`public.t is loaded again: its column ${column} has another type`]);
    expect((await reader.columns('public', 't')).find(({ name }) => name === column)?.type).toBe(wanted);
  });

  test('a type that keeps every value is no other one', async () => {
    await database.sql(`CREATE TABLE w (id int PRIMARY KEY, v varchar(5)); INSERT INTO w VALUES (1, 'a')`);
    await run();
    await database.sql(`ALTER TABLE w ALTER v TYPE text; INSERT INTO w VALUES (2, 'longer than five')`);
    await run();
    await same('w');
    expect(notices).toEqual([]);
  });
});

describe('tables that come and go', () => {
  test('made, dropped, made again, renamed, and loaded again on request', async () => {
    await database.sql(
      `CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'x')`,
    );
    await run();
    await database.sql(
      `CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1), (2); DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY, other text); INSERT INTO a VALUES (5, 'o')`,
    );
    await run();
    await database.sql('INSERT INTO c VALUES (3); DELETE FROM c WHERE id = 1');
    await run();
    await same('a', 'b', 'c');
    await database.sql('ALTER TABLE b RENAME TO d; INSERT INTO d VALUES (2)');
    await run();
    await same('a', 'c', 'd');
    expect(await reader.ask('SELECT count(*)::INTEGER AS n FROM w.public.b')).toEqual([{ n: 1 }]);
    expect(notices).toEqual(['public.b left the job: its table in DuckDB stays as it is']);
    await run({ resync: ['*.*'] });
    await same('a', 'c', 'd');
    expect(staged()).toEqual([]);
  });
});

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
    await database.sql(`CREATE TABLE t (a int, b text); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t SELECT i, 'x' FROM generate_series(1, 10) i;
      CREATE TABLE k (id int PRIMARY KEY, v text); INSERT INTO k SELECT i, 'x' FROM generate_series(1, 10) i`);
  });

  test.each(['load-landed', 'applied'])('at %s of the load', async (point) => {
    await expect(run({}, dieAt(point))).rejects.toThrow('killed');
    await database.sql(`INSERT INTO t VALUES (1, 'x'); DELETE FROM k WHERE id = 1`);
    await run();
    await same('t', 'k');
    expect(staged()).toEqual([]);
  });

  test('at load-landed of a full load alone', async () => {
    await expect(run({ mode: 'full-load' }, dieAt('load-landed'))).rejects.toThrow('killed');
    await run({ mode: 'full-load' });
    await same('t', 'k');
    await expect(run({ mode: 'full-load' })).rejects.toThrow('has loaded already');
  });

  test.each(['manifest-written', 'applied', 'confirmed'])(
    'at %s of an epoch: no change is applied twice',
    async (point) => {
      await run();
      for (let i = 0; i < 3; i++) {
        await database.sql(
          `INSERT INTO t VALUES (1, 'x'); UPDATE k SET v = v || 'y'; INSERT INTO k VALUES (${100 + i})`,
        );
        await expect(run({}, dieAt(point))).rejects.toThrow('killed');
      }
      await run();
      await same('t', 'k');
      expect(staged()).toEqual([]);
    },
  );

  test.each(['load-landed', 'applied'])('at %s of a table that is loaded again', async (point) => {
    await run();
    await database.sql(
      `ALTER TABLE k ADD COLUMN u uuid DEFAULT gen_random_uuid(); UPDATE k SET v = 'y' WHERE id = 1`,
    );
    await expect(run({}, dieAt(point, point === 'applied' ? 2 : 1))).rejects.toThrow('killed');
    await run();
    await same('t', 'k');
    await expect(run({ resync: ['public.t'] }, dieAt(point))).rejects.toThrow('killed');
    await run();
    await same('t', 'k');
  });

  test('a database that is older than its folder is loaded again', async () => {
    await run();
    rmSync(reader.path);
    await database.sql(`INSERT INTO t VALUES (1, 'x')`);
    await run();
    await same('t', 'k');
    expect(notices).toContain('public.t is loaded again: its files are gone');
    rmSync(`${reader.path}.longshore`, { recursive: true });
    await expect(run()).rejects.toThrow('is at epoch');
    expect(existsSync(reader.path)).toBe(true);
  });
});

describe('beside the run', () => {
  const verify = (more: Partial<ReplicateOptions> = {}) => verifyReplica(optionsOf(more));

  beforeEach(async () => {
    await database.sql(`CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(20, 4), at timestamptz, d date, tt time, b boolean, raw bytea, j jsonb, u uuid, f float8);
      INSERT INTO t SELECT i, 'v' || i, i / 3.0, '2026-01-01'::timestamptz + i * interval '1 ms', '2026-01-01', '00:00', i % 2 = 0, decode(md5(i::text), 'hex'),
        '{"é": 1}', md5(i::text)::uuid, -0.0 FROM generate_series(1, 3000) i;
      INSERT INTO t VALUES (0, NULL, 'NaN', 'infinity', '-infinity', '24:00', NULL, NULL, NULL, NULL, 'NaN'), (-1, 'last', 1, '294250-01-01', 'infinity', NULL, NULL, NULL, '"é\\ud83d\\ude00"', NULL, 0);
      CREATE TABLE keyless (a int, j json); ALTER TABLE keyless REPLICA IDENTITY FULL; INSERT INTO keyless SELECT i % 3, '"\ud800"' FROM generate_series(1, 10) i`);
    await run();
  });

  test('verification compares every value, and names the rows that differ', async () => {
    await database.sql(`UPDATE t SET v = 'changed' WHERE id % 7 = 0; DELETE FROM t WHERE id > 0 AND id % 11 = 0; UPDATE t SET id = -id WHERE id % 13 = 0;
      UPDATE keyless SET j = '1' WHERE a = 1; DELETE FROM keyless WHERE a = 2`);
    expect(await verify()).toMatchObject({ differences: 0 });
    await same('t', 'keyless');
    const publication = `longshore_duck_${jobs}`;
    await database.sql(`ALTER PUBLICATION ${publication} DROP TABLE t; SET session_replication_role = replica;
      UPDATE t SET n = n + 0.0001 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t (id) VALUES (100000); UPDATE t SET at = '294251-01-01' WHERE id = -1;
      UPDATE t SET at = '-infinity' WHERE id = 0; UPDATE t SET j = '{}' WHERE id = 3`);
    await database.sql(`ALTER PUBLICATION ${publication} ADD TABLE t`);
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
    expect(staged()).toEqual([]);
  });

  test('verification holds at one place of the log while a program writes', async () => {
    await using session = await database.session();
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
    await run();
    await same('t', 'keyless');
  });

  test('verification of columns of which no change has told yet', async () => {
    await database.sql(
      'ALTER TABLE t RENAME v TO w; ALTER TABLE t ADD COLUMN n2 int DEFAULT 3; ALTER TABLE t DROP COLUMN raw',
    );
    expect(await verify()).toMatchObject({ differences: 0 });
    await database.sql('ALTER TABLE keyless ADD COLUMN at timestamptz DEFAULT clock_timestamp()');
    expect((await verify()).differences).toBeGreaterThan(0);
  });

  test('the plan has the types of DuckDB, and the status the checkpoint', async () => {
    const { tables, to } = await planReplication(optionsOf());
    expect(to).toBe(optionsOf().to);
    const columns = tables.find(({ name }) => name === 'public.t')!.columns;
    expect(columns.map(({ name, duckdb, unfit }) => [name, duckdb, unfit])).toEqual(
      expect.arrayContaining([
        ['u', 'UUID', undefined],
        ['at', 'TIMESTAMPTZ', 'after the year 294246'],
        ['d', 'DATE', undefined],
        ['n', 'DECIMAL(20,4)', 'NaN'],
      ]),
    );
    const status = await replicateStatus({ to: optionsOf().to, name: optionsOf().name!, from: database.url });
    expect(status).toMatchObject({
      epoch: 0,
      tables: [{ table: 'keyless' }, { table: 't', fullLoadRows: 3002 }],
    });
  });
});
