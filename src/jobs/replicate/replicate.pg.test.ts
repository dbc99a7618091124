import pg from 'pg';
import { beforeEach, describe, expect, test } from 'vitest';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import { expectRows } from '../../../test/worlds/whole-lake.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { newestManifest, writeManifest } from './manifest.ts';
import { replicate } from './run.ts';
import { replicateStatus } from './status.ts';

const job = lakeJob('job');

test('a full load, in files as DMS names them', async () => {
  await job.database.sql(`CREATE TABLE items (id bigint PRIMARY KEY, name text, price numeric(10,2), at timestamptz);
    INSERT INTO items SELECT i, 'item ' || i, i / 4.0, '2026-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 30000) i;
    CREATE TABLE "Odd Name" (id int PRIMARY KEY); INSERT INTO "Odd Name" VALUES (1);
    CREATE TABLE empty (id int PRIMARY KEY)`);
  const summary = await job.run({ mode: 'full-load', maxFileSize: 512 * 1024 });
  expect(summary.loaded.rows).toBe(30_001);
  const files = job.lake.listed();
  expect(files).toContain('public/Odd Name/LOAD00000001.parquet');
  expect(files.filter((name) => name.startsWith('public/items/LOAD0000000')).length).toBeGreaterThan(2);
  const rows = job.lake.current('items');
  expect(rows.size).toBe(30_000);
  expect(rows.get(7)).toMatchObject({ name: 'item 7', at: Date.UTC(2026, 0, 1, 0, 0, 7) });
  expect(
    job.lake
      .manifests()[0]!
      .files.map(({ key }) => key)
      .sort(),
  ).toEqual(files);
  await expect(job.run({ mode: 'full-load' })).rejects.toThrow('has loaded already');
});

test('what is written while the load runs and afterwards comes once, and in order', async () => {
  await job.database.sql(
    `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'loaded' FROM generate_series(1, 5000) i`,
  );
  const writer = new pg.Client({ connectionString: job.database.url });
  await writer.connect();
  let stop = false;
  const writing = (async () => {
    for (let i = 0; !stop; i++) {
      await writer.query('UPDATE t SET v = $1 WHERE id = $2', [`change ${i}`, 1 + (i % 5000)]);
      await writer.query('INSERT INTO t VALUES ($1, $2)', [10_000 + i, 'late']);
      if (i % 3 === 0) await writer.query('DELETE FROM t WHERE id = $1', [10_000 + i]);
    }
  })();
  const first = await job.run();
  expect(first.loaded.rows).toBeGreaterThanOrEqual(5000);
  await job.run();
  stop = true;
  await writing;
  await writer.end();
  await job.run();
  await expectRows(job.lake, job.database, 't');
  const places = job.lake
    .changesOf('t')
    .map((row) => [Number(row['_commit_lsn']), Number(row['_ordinal'])] as const);
  const sorted = places.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
  expect(places).toEqual(sorted);
  expect(new Set(places.map(String)).size).toBe(places.length);
});

describe('changes', () => {
  beforeEach(async () => {
    await job.land(`CREATE TABLE t (id int PRIMARY KEY, v text, doc jsonb);
      INSERT INTO t VALUES (1, 'one', '{}'), (2, 'two', '{}'), (3, 'three', '{}')`);
  });

  test('each has its operation, transaction and place', async () => {
    await job.land(`BEGIN; UPDATE t SET v = 'zwei' WHERE id = 2; DELETE FROM t WHERE id = 3;
      INSERT INTO t VALUES (4, 'four', NULL); COMMIT`);
    const changes = job.lake.changesOf('t');
    expect(changes.map(({ Op, id, v, _ordinal }) => [Op, id, v, _ordinal])).toEqual([
      ['U', 2, 'zwei', 0],
      ['D', 3, null, 1],
      ['I', 4, 'four', 2],
    ]);
    expect(new Set(changes.map((row) => row['_xid'])).size).toBe(1);
    expect(new Set(changes.map((row) => row['_commit_lsn'])).size).toBe(1);
  });

  test('another key is a deletion and an insertion', async () => {
    await job.land('UPDATE t SET id = 9 WHERE id = 1');
    expect(job.lake.changesOf('t').map(({ Op, id, v }) => [Op, id, v])).toEqual([
      ['D', 1, null],
      ['I', 9, 'one'],
    ]);
  });

  test('a value that an update leaves out is made whole', async () => {
    const large = Array.from({ length: 3000 }, (_, i) => i.toString(36)).join(',');
    await job.land(`UPDATE t SET doc = to_jsonb('${large}'::text) WHERE id = 1`);
    await job.land("UPDATE t SET v = 'eins' WHERE id = 1");
    const last = job.lake.changesOf('t').at(-1)!;
    expect(last).toMatchObject({ Op: 'U', v: 'eins', doc: JSON.stringify(large), _reread: 'doc' });
  });

  test('what is rolled back does not come, however large it was', async () => {
    await job.database.sql(`ALTER DATABASE ${job.database.name} SET logical_decoding_work_mem = '64kB'`);
    await job.land(`BEGIN; INSERT INTO t SELECT i, repeat('x', 100), NULL FROM generate_series(100, 5000) i;
      SAVEPOINT a; INSERT INTO t SELECT i, 'rolled back', NULL FROM generate_series(6000, 9000) i; ROLLBACK TO a;
      INSERT INTO t VALUES (9999, 'last', NULL); COMMIT;
      BEGIN; INSERT INTO t SELECT i, 'void', NULL FROM generate_series(20000, 25000) i; ROLLBACK`);
    const changes = job.lake.changesOf('t');
    expect(changes).toHaveLength(4902);
    expect(changes.at(-1)).toMatchObject({ id: 9999, v: 'last', _ordinal: 4901 });
    expect(changes.some(({ v }) => v === 'rolled back' || v === 'void')).toBe(false);
  });

  test('a table that changes its columns begins another file, and the manifest says so', async () => {
    await job.database.sql("INSERT INTO t VALUES (5, 'before', NULL)");
    await job.land(
      "ALTER TABLE t ADD COLUMN extra int DEFAULT 7; INSERT INTO t VALUES (6, 'after', NULL, 8)",
    );
    const last = job.lake.manifests().at(-1)!;
    expect(last.files.map(({ rows }) => rows)).toEqual([1, 1]);
    expect(new Set(last.files.map(({ schemaId }) => schemaId)).size).toBe(2);
    expect(last.events).toMatchObject([{ kind: 'schema', table: 't' }]);
    expect(job.lake.rowsOf(last.files[1]!.key)[0]).toMatchObject({ id: 6, extra: 8 });
  });

  test('a truncation is an event', async () => {
    await job.land('TRUNCATE t');
    expect(job.lake.manifests().at(-1)!.events).toMatchObject([
      { kind: 'truncate', schema: 'public', table: 't' },
    ]);
    expect(job.lake.current('t').size).toBe(0);
  });
});

describe('a start that cannot succeed leaves nothing behind', () => {
  test('a table without an identity', async () => {
    await job.database.sql('CREATE TABLE t (id int)');
    await expect(job.run()).rejects.toThrow('neither a primary key nor another replica identity');
    expect(await job.onServer()).toEqual([]);
  });

  test('a table that is not there', async () => {
    await job.database.sql('CREATE TABLE t (id int PRIMARY KEY)');
    await expect(job.run({ tables: ['public.T'] })).rejects.toThrow('has no table public.T');
    expect(await job.onServer()).toEqual([]);
  });

  test('a target that cannot be written', async () => {
    await job.database.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
    await expect(job.run({ to: `file://${job.folder}/absent/` })).rejects.toThrow();
    expect(await job.onServer()).toEqual([]);
  });
});

test('a slot that is gone, or ahead of the files, stops loudly', async () => {
  await job.land('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
  const slot = `longshore_${job.name}`;
  await job.database.sql('INSERT INTO t VALUES (2)');
  await job.database.sql(`SELECT pg_replication_slot_advance('${slot}', pg_current_wal_lsn())`);
  await expect(job.run()).rejects.toThrow('ahead of the files');
  await job.database.sql(`SELECT pg_drop_replication_slot('${slot}')`);
  await expect(job.run()).rejects.toThrow('is gone');
});

test('files of somebody else are not touched', async () => {
  await job.land('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)', {
    mode: 'full-load',
    name: 'other',
  });
  await expect(job.run()).rejects.toThrow('is there already, and not of the job');
  expect(
    await job.database.sql('SELECT FROM pg_replication_slots WHERE database = current_database()'),
  ).toEqual([]);
});

describe('into a bucket of S3', () => {
  test('the same, and a second process is fenced off', async () => {
    await using server = await startS3Server({ buckets: ['lake'] });
    const env = {
      AWS_ENDPOINT_URL: server.url,
      AWS_ACCESS_KEY_ID: server.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
      AWS_REGION: 'us-east-1',
    };
    await job.database.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one')");
    const options = job.options({ to: 's3://lake/shop/' });
    await replicate(options, { env });
    await job.database.sql("UPDATE t SET v = 'eins'");
    const stop = new AbortController();
    const following = replicate(
      { ...options, untilCaughtUp: false },
      { env, signal: stop.signal, emit: (event) => event.type === 'epoch-landed' && landed() },
    );
    let landed!: () => void;
    await new Promise<void>((resolve) => {
      landed = resolve;
    });
    await expect(replicate(options, { env })).rejects.toThrow('another process works on the job');
    stop.abort(new Error('stopped'));
    await expect(following).rejects.toThrow('stopped');
    await using opened = await openStore(
      { kind: 's3', bucket: 'lake', prefix: '' },
      { env, clock: systemClock },
    );
    const keys = (await opened.store.list({ prefix: 'shop/' })).objects.map(({ key }) => key);
    expect(keys.filter((key) => key.startsWith('shop/public/t/'))).toHaveLength(2);
    expect(keys.filter((key) => key.includes('/epochs/'))).toHaveLength(2);
    // Whoever comes late with the same epoch is refused.
    const place = { store: opened.store, prefix: 'shop/', job: job.name };
    const signal = new AbortController().signal;
    const newest = (await newestManifest(place, signal))!;
    await writeManifest(place, newest, signal);
    await expect(writeManifest(place, { ...newest, files: [] }, signal)).rejects.toThrow(
      'another process has written epoch 1',
    );
  });
});

test('a column that is called like one of ours is refused', async () => {
  await job.database.sql('CREATE TABLE t (id int PRIMARY KEY, "_xid" int)');
  await expect(job.run()).rejects.toThrow('two columns called _xid');
});

test('columns that no file can have beside its own stop the job before there is one, also while it runs', async () => {
  const more = { timestampColumn: 'changed_at' };
  await job.land("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')", more);
  const cases = [
    ['Op', 'public.t would have two columns called Op'],
    ['_XID', 'public.t would have two columns called _XID'],
    ['Changed_at', 'public.t would have two columns called Changed_at'],
    ['V', 'the names of the columns v and V of public.t differ by case alone'],
  ];
  for (const [name, message] of cases) {
    await job.database.sql(`INSERT INTO t (id, v) SELECT max(id) + 1, 'before' FROM t; ALTER TABLE t ADD "${name}" text;
      INSERT INTO t SELECT max(id) + 1, 'b', 'mine' FROM t; ALTER TABLE t DROP "${name}"; INSERT INTO t SELECT max(id) + 1 FROM t`);
    const before = job.lake.manifests().length;
    const failed = expect.objectContaining({
      code: 'CHECK_FAILED',
      message,
      hint: expect.stringContaining("then --resync 'public.t'"),
    });
    await expect(job.run(more)).rejects.toEqual(failed);
    await expect(job.verify(more)).rejects.toEqual(failed);
    expect(job.lake.manifests()).toHaveLength(before);
    await job.run({ ...more, resync: 'public.t' });
    await job.expectSame();
  }
});

test('sessions that are read only: each start says what to do, and one goes well when they may write', async () => {
  await job.database.sql('CREATE TABLE t (id int PRIMARY KEY)');
  const readOnly = (state: string) =>
    job.database.sql(
      `BEGIN READ WRITE; ALTER DATABASE ${job.database.name} SET default_transaction_read_only = ${state}; COMMIT`,
    );
  await readOnly('on');
  try {
    for (let start = 0; start < 2; start++)
      await expect(job.run()).rejects.toMatchObject({
        code: 'DATABASE_DENIED',
        hint: expect.stringContaining('SET default_transaction_read_only = off'),
      });
  } finally {
    await readOnly('off');
  }
  await job.run();
  await job.expectSame();
});

test('table statistics', async () => {
  await job.land("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  await job.land(
    "INSERT INTO t VALUES (3, 'c'); UPDATE t SET v = 'x' WHERE id < 3; DELETE FROM t WHERE id = 1; TRUNCATE t",
  );
  const status = await replicateStatus(job.options());
  expect(status).toMatchObject({ job: job.name, epoch: 1, server: { slot: 'idle' } });
  expect(status.tables).toMatchObject([
    {
      schema: 'public',
      table: 't',
      fullLoadRows: 2,
      inserts: 1,
      updates: 2,
      deletes: 1,
      truncations: 1,
      files: 2,
    },
  ]);
  expect(status.lastCommitMs).toBeLessThanOrEqual(Date.now());
  expect(status.tables).toMatchObject([{ state: 'following', lastCommitMs: status.lastCommitMs }]);
  expect(status.tables[0]!.differences).toBeUndefined();
  await job.verify();
  await job.database.sql("INSERT INTO t VALUES (9, 'x')");
  const later = await replicateStatus(job.options());
  expect(later).toMatchObject({ verified: { lsn: expect.any(String) }, tables: [{ differences: 0 }] });
  expect(later.server!.lagBytes).toBeGreaterThan(0);
  expect(later.server!.lagSeconds).toBeGreaterThanOrEqual(0);
  await job.database.sql(`SELECT pg_drop_replication_slot('longshore_${job.name}')`);
  await expect(job.run()).rejects.toThrow('is gone');
  const failed = await replicateStatus(job.options());
  expect(failed.server!.slot).toBe('absent');
  expect(failed.lastError).toMatchObject({
    code: 'CHECK_FAILED',
    message: expect.stringContaining('is gone'),
  });
});

describe('verification', () => {
  beforeEach(async () => {
    await job.land(`CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(20, 4), at timestamptz, b boolean, raw bytea, d jsonb);
      INSERT INTO t SELECT i, 'v' || i, i / 3.0, '2026-01-01'::timestamptz + i * interval '1 ms', i % 2 = 0, decode(md5(i::text), 'hex'), '{"a": 1}'
        FROM generate_series(1, 3000) i;
      INSERT INTO t VALUES (0, NULL, 'NaN', 'infinity', NULL, NULL, NULL);
      CREATE TABLE keyless (a int, b text); ALTER TABLE keyless REPLICA IDENTITY FULL;
      INSERT INTO keyless SELECT i % 3, 'x' FROM generate_series(1, 10) i`);
    await job.database.sql(`UPDATE t SET v = 'changed' WHERE id % 7 = 0; DELETE FROM t WHERE id % 11 = 0; UPDATE t SET id = -id WHERE id % 13 = 0;
      UPDATE keyless SET b = 'y' WHERE a = 1; DELETE FROM keyless WHERE a = 2; INSERT INTO keyless VALUES (1, 'y')`);
  });

  test('files and tables are the same', async () => {
    const verified = await job.expectSame();
    const [{ n } = { n: 0 }] = await job.database.sql('SELECT count(*)::int AS n FROM t');
    expect(verified.tables.find(({ table }) => table === 't')?.rows).toBe(n);
  });

  test('a row that differs is named', async () => {
    await job.run();
    // Behind the back of the replication.
    const session = `SET session_replication_role = replica;`;
    await job.database.sql(`ALTER PUBLICATION longshore_${job.name} DROP TABLE t; ${session}
      UPDATE t SET n = n + 0.0001 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t (id) VALUES (100000)`);
    await job.database.sql(`ALTER PUBLICATION longshore_${job.name} ADD TABLE t`);
    const verified = await job.verify();
    const found = verified.tables.find(({ table }) => table === 't')!;
    expect(found.differences.toSorted((a, b) => a.key.localeCompare(b.key))).toEqual([
      { key: '["1"]', what: 'different' },
      { key: '["100000"]', what: 'only in the table' },
      { key: '["2"]', what: 'only in the files' },
    ]);
  });
});
