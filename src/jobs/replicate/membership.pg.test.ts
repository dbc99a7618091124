/** Tables that come into a job and leave it, are renamed, made again, or loaded again on request. */

import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import type { ReplicateEvent } from './events.ts';
import { planReplication } from './plan.ts';
import { dropReplicationOf, replicate } from './run.ts';

const job = lakeJob('members');
beforeEach(() =>
  job.database.sql(`CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'one');
    CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b SELECT i, 'b' FROM generate_series(1, 100) i`),
);

const kinds = () =>
  job.lake.manifests().flatMap(({ events }) => events.map(({ kind, table }) => `${kind} ${table}`));

async function expectTrue(...tables: string[]): Promise<void> {
  const verified = await job.expectSame();
  expect(verified.tables.map(({ table }) => table)).toEqual(tables);
  const named = job.lake.manifests().flatMap(({ files }) => files.map(({ key }) => key));
  for (const key of job.lake.listed()) expect(named).toContain(key);
  for (const table of tables) expect(job.lake.contradictions(table)).toEqual([]);
}

test('a table that is made between two runs is loaded, and followed from there', async () => {
  await job.run();
  await job.land(
    "CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1), (2); INSERT INTO a VALUES (2, 'two')",
  );
  expect(kinds()).toEqual(['table-added c']);
  expect(job.lake.listed()).toContain('public/c/LOAD00000001.parquet');
  await job.land('INSERT INTO c VALUES (3); DELETE FROM c WHERE id = 1');
  await expectTrue('a', 'b', 'c');
});

test('a table that is made while the job runs comes in, and one without an identity is told and left out', async () => {
  const stop = new AbortController();
  const events: ReplicateEvent[] = [];
  let came!: () => void;
  const added = new Promise<void>((resolve) => {
    came = resolve;
  });
  let now = Date.now();
  const clock = { now: () => now, wait: () => Promise.resolve() };
  const following = job.run(
    { untilCaughtUp: false },
    {
      signal: stop.signal,
      clock,
      emit: (event) => {
        events.push(event);
        // Time goes by as fast as the job looks at it.
        now += 20_000;
        if (event.type === 'load-finished' && event.rows === 2) came();
      },
    },
  );
  const ticking = setInterval(() => {
    now += 20_000;
  }, 20);
  try {
    await expect.poll(() => events.some(({ type }) => type === 'following'), { timeout: 10_000 }).toBe(true);
    await job.database.sql(
      'CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1), (2); CREATE TABLE d (x int)',
    );
    await added;
    await job.database.sql('INSERT INTO c VALUES (3)');
    await expect.poll(() => job.lake.changesOf('c').length, { timeout: 10_000 }).toBe(1);
  } finally {
    clearInterval(ticking);
    stop.abort(new Error('stopped'));
    await expect(following).rejects.toThrow('stopped');
  }
  expect(events.filter((event) => event.type === 'notice').map(({ text }) => text)).toEqual([
    expect.stringContaining('left out: public.d has neither a primary key'),
  ]);
  await expectTrue('a', 'b', 'c');
});

test('a table that is dropped just before it is published does not end the job', async () => {
  const dropsMeanwhile = async (): Promise<void> => {
    await using session = await job.database.session();
    await job.database.sql('CREATE SCHEMA s; CREATE TABLE s.n (id int PRIMARY KEY)');
    await session.sql('BEGIN; DROP SCHEMA s CASCADE');
    const running = job.run();
    await expect
      .poll(() => job.database.sql(WAITING), { timeout: 10_000 })
      .toEqual([expect.objectContaining({ query: expect.stringContaining('PUBLICATION') })]);
    await session.sql('COMMIT');
    await running;
    expect(job.notices.at(-1)).toContain('a table was dropped or renamed while it was published');
  };
  await dropsMeanwhile();
  await job.database.sql("INSERT INTO a VALUES (2, 'two')");
  await dropsMeanwhile();
  await expectTrue('a', 'b');
});

const WAITING = `SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;

test('a table that is not of the job may be locked: it is not waited for', async () => {
  await job.database.sql(`CREATE TABLE other (id int PRIMARY KEY);
    CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parts DEFAULT`);
  const tables = ['public.a'];
  await job.run({ tables });
  await using session = await job.database.session();
  await session.sql("SET idle_in_transaction_session_timeout = '10s'");
  await session.sql('BEGIN; LOCK TABLE other, part IN ACCESS EXCLUSIVE MODE');
  await job.land("INSERT INTO a VALUES (2, 'two')", { tables });
  expect(job.lake.changesOf('a')).toHaveLength(1);
  expect((await planReplication(job.options({ tables }))).tables).toHaveLength(1);
  // Nobody gave way.
  await session.sql('COMMIT');
});

test('a clock that is set back again and again holds no epoch up', async () => {
  await job.run();
  const stop = new AbortController();
  let nowMs = Date.now();
  const clock: Clock = {
    ...systemClock,
    now: () => {
      nowMs -= 60_000;
      return nowMs;
    },
  };
  const following = job.run({ untilCaughtUp: false, every: 300 }, { signal: stop.signal, clock });
  try {
    await job.database.sql("INSERT INTO a VALUES (2, 'two')");
    await expect.poll(() => job.lake.changesOf('a').length, { timeout: 5_000 }).toBe(1);
  } finally {
    stop.abort(new Error('stopped'));
    await expect(following).rejects.toThrow('stopped');
  }
});

test('an epoch of many changes of columns is no larger than others', async () => {
  await job.run();
  for (let i = 0; i < 10; i++)
    await job.database.sql(`INSERT INTO a (id, v) SELECT i, md5(i::text) FROM generate_series(${i}00 + 10, ${i}00 + 109) i;
      ALTER TABLE a ADD c${i} int`);
  await job.run({ every: '10m', maxFileSize: 8192, compression: 'none' });
  expect(job.lake.manifests().length).toBeGreaterThan(2);
  await expectTrue('a', 'b');
});

test('a table that differs by case alone from one of the job is told and left out', async () => {
  await job.run();
  await job.database.sql('CREATE TABLE "A" (id int PRIMARY KEY)');
  await job.run();
  expect(job.notices).toEqual([
    expect.stringContaining('left out: the names of the tables public.a and public.A differ'),
  ]);
  await expectTrue('a', 'b');
});

test('a table of the job that becomes a partition of another one is told, and nothing of it is lost', async () => {
  await job.land(`CREATE TABLE r (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE r_first PARTITION OF r FOR VALUES FROM (0) TO (1000); INSERT INTO r VALUES (1, 'r');
    CREATE TABLE p (id int PRIMARY KEY, v text); INSERT INTO p VALUES (1001, 'loaded')`);
  await job.database.sql(`INSERT INTO p VALUES (1002, 'before');
    ALTER TABLE r ATTACH PARTITION p FOR VALUES FROM (1000) TO (2000)`);
  await job.database.sql("INSERT INTO r VALUES (1003, 'after'); UPDATE r SET v = 'changed' WHERE id = 1001");
  await expect(job.run()).rejects.toMatchObject({
    message: expect.stringContaining('public.p is a partition of public.r now'),
    hint: expect.stringContaining("--resync 'public.r'"),
  });
  await job.run({ resync: 'public.r' });
  await job.database.sql('DELETE FROM r WHERE id = 1002');
  await expectTrue('a', 'b', 'r');
  expect(job.lake.changesOf('p')).toMatchObject([{ Op: 'I', id: 1002 }]);
});

test('a stream whose publication is gone says what to do', async () => {
  await job.run();
  const stop = new AbortController();
  const events: ReplicateEvent['type'][] = [];
  const following = job.run(
    { untilCaughtUp: false },
    { signal: stop.signal, emit: ({ type }) => events.push(type) },
  );
  following.catch(() => undefined);
  await expect.poll(() => events.includes('following'), { timeout: 10_000 }).toBe(true);
  await job.database.sql(`DROP PUBLICATION longshore_${job.name}`);
  await job.database.sql("INSERT INTO a VALUES (2, 'lost')");
  await expect(following).rejects.toMatchObject({ hint: expect.stringContaining("--resync '*.*'") });
  await job.run({ resync: '*.*' });
  await expectTrue('a', 'b');
});

test('a database without an encoding is refused before anything is made', async () => {
  const other = `${job.database.name}_ascii`;
  await job.database.sql(
    `CREATE DATABASE ${other} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`,
  );
  const from = job.database.url.replace(job.database.name, other);
  await expect(job.run({ from })).rejects.toMatchObject({
    code: 'CHECK_FAILED',
    message: expect.stringContaining('SQL_ASCII'),
  });
  expect(readdirSync(job.folder)).toEqual([]);
  await job.database.sql(`DROP DATABASE ${other}`);
});

test('a table that comes into a job that only follows takes no change from the others', async () => {
  const mode = 'cdc';
  await job.run({ mode });
  await job.land("INSERT INTO a VALUES (2, 'two'); CREATE TABLE c (id int PRIMARY KEY)", { mode });
  await job.land('INSERT INTO c VALUES (1)', { mode });
  expect(job.lake.changesOf('a')).toMatchObject([{ Op: 'I', id: 2 }]);
  expect(job.lake.changesOf('c')).toMatchObject([{ Op: 'I', id: 1 }]);
});

test('a table that is dropped leaves the job, its files stay', async () => {
  await job.run();
  await job.land("INSERT INTO b VALUES (101, 'last'); DROP TABLE b; INSERT INTO a VALUES (2, 'two')");
  expect(kinds()).toEqual(['table-removed b']);
  expect(job.lake.listed()).toContain('public/b/LOAD00000001.parquet');
  // What it was told before it went is there, too.
  expect(job.lake.changesOf('b')).toMatchObject([{ Op: 'I', id: 101, v: 'last' }]);
  expect(
    job.lake
      .manifests()
      .at(-1)!
      .tables.map((table) => table.name),
  ).toEqual(['a']);
  await expectTrue('a');
});

test('a table that is made again under its name is another one: it is loaded, and the files of the one before go', async () => {
  await job.run();
  await job.land("INSERT INTO b VALUES (101, 'last')");
  await job.land('DROP TABLE b; CREATE TABLE b (id int PRIMARY KEY, w int); INSERT INTO b VALUES (1, 7)');
  expect(kinds()).toEqual(['table-removed b', 'table-added b']);
  expect(job.lake.listed().filter((key) => key.startsWith('public/b/'))).toEqual([
    'public/b/LOAD00000002.parquet',
  ]);
  await job.database.sql('UPDATE b SET w = 8');
  await expectTrue('a', 'b');
});

test('a table that is renamed is loaded under its new name', async () => {
  await job.run();
  await job.land("ALTER TABLE b RENAME TO bb; INSERT INTO bb VALUES (101, 'x')");
  await job.land('DELETE FROM bb WHERE id < 50');
  expect(kinds()).toEqual(['table-removed b', 'table-added bb']);
  await expectTrue('a', 'bb');
});

test('other patterns change the tables of the job', async () => {
  await job.run({ tables: ['a'] });
  await job.land("INSERT INTO b VALUES (101, 'x')", { tables: ['b'] });
  expect(kinds()).toEqual(['table-removed a', 'table-added b']);
  const verified = await job.verify({ tables: ['b'] });
  expect(verified).toMatchObject({ differences: 0, tables: [{ table: 'b', rows: 101 }] });
});

test('a table is loaded again on request', async () => {
  await job.run();
  await job.land("INSERT INTO b VALUES (101, 'x')");
  await job.database.sql(`ALTER PUBLICATION longshore_${job.name} DROP TABLE b`);
  await job.database.sql("INSERT INTO b VALUES (102, 'lost')");
  await expect(job.run()).rejects.toThrow('has no public.b any more');
  await job.run({ resync: 'public.b' });
  await expectTrue('a', 'b');
  expect(job.lake.listed().filter((key) => key.startsWith('public/b/'))).toEqual([
    'public/b/LOAD00000002.parquet',
  ]);
});

test('everything is loaded again where the slot is gone', async () => {
  await job.run();
  await dropReplicationOf(job.options());
  await job.database.sql("INSERT INTO a VALUES (2, 'lost'); DELETE FROM b");
  await expect(job.run()).rejects.toMatchObject({
    message: expect.stringContaining('is gone: changes since'),
    hint: expect.stringContaining("--resync '*.*'"),
  });
  await job.run({ resync: '*.*' });
  await job.database.sql("INSERT INTO a VALUES (3, 'three')");
  await expectTrue('a', 'b');
  expect(job.lake.listed().filter((key) => key.startsWith('public/a/LOAD'))).toEqual([
    'public/a/LOAD00000002.parquet',
  ]);
});

test.each(['snapshot-taken', 'chunk-uploaded', 'chunk-noted', 'load-landed'])(
  'a load of a table that came that fails at %s is gone on with or begun again',
  async (point) => {
    await job.run();
    await job.database.sql('CREATE TABLE c (id int PRIMARY KEY); INSERT INTO c VALUES (1), (2)');
    const failpoint = (passed: string): void => {
      if (passed === point) throw new Error('here');
    };
    await expect(job.run({}, { failpoint })).rejects.toThrow('here');
    await job.land("INSERT INTO c VALUES (3); UPDATE a SET v = 'x'");
    await job.database.sql('DELETE FROM c WHERE id = 2');
    await expectTrue('a', 'b', 'c');
  },
);

test('a table that was called otherwise for a while is loaded again: what it was changed by then is in no file', async () => {
  await job.run();
  await job.land(`INSERT INTO b VALUES (101, 'before'); ALTER TABLE b RENAME TO other; INSERT INTO other VALUES (102, 'then');
    UPDATE other SET v = 'then' WHERE id = 1; ALTER TABLE other RENAME TO b; INSERT INTO b VALUES (103, 'after')`);
  await expectTrue('a', 'b');
  const events = job.lake
    .manifests()
    .flatMap((manifest) => manifest.events)
    .filter(({ table }) => table === 'b');
  expect(events.map(({ kind }) => kind)).toEqual(['table-removed', 'table-added']);
});

test('files of somebody else in the folder of a table that comes in are not joined', async () => {
  await job.run({ tables: ['a'] });
  await job.run({ name: `${job.name}_other`, mode: 'full-load', tables: ['b'] });
  await expect(job.run()).rejects.toThrow('is there already, and not of the job');
});

test('a publication that does not tell everything any more stops the job', async () => {
  await job.run();
  await job.database.sql(
    `ALTER PUBLICATION longshore_${job.name} SET (publish = 'insert'); UPDATE a SET v = 'lost'`,
  );
  await expect(job.run()).rejects.toThrow('not all of its changes');
  await job.run({ resync: '*.*' });
  await expectTrue('a', 'b');
});

test('a table that was taken out of the publication and put in again is loaded again on request', async () => {
  await job.run();
  const publication = `longshore_${job.name}`;
  await job.database.sql(`ALTER PUBLICATION ${publication} DROP TABLE b`);
  await job.database.sql("INSERT INTO b VALUES (101, 'lost')");
  await job.database.sql(`ALTER PUBLICATION ${publication} ADD TABLE b`);
  await job.database.sql("INSERT INTO b VALUES (102, 'there')");
  await expect(job.run()).rejects.toMatchObject({
    message: expect.stringContaining('public.b was taken out of the publication'),
    hint: expect.stringContaining("--resync 'public.b'"),
  });
  await job.run({ resync: 'public.b' });
  await job.run();
  await expectTrue('a', 'b');
  await job.database.sql(`DROP PUBLICATION ${publication}`);
  await job.database.sql("INSERT INTO a VALUES (2, 'lost')");
  await job.database.sql(`CREATE PUBLICATION ${publication} FOR TABLE a, b`);
  await expect(job.run({ resync: 'public.b' })).rejects.toMatchObject({
    message: expect.stringContaining('was dropped and made again'),
    hint: expect.stringContaining("--resync '*.*'"),
  });
  await job.run({ resync: '*.*' });
  await expectTrue('a', 'b');
});

test('manifests that do not say what the publication was are gone on with, and say it from then on', async () => {
  await job.run();
  const path = join(job.folder, '_longshore', job.name, 'epochs', '0000000000.json');
  const { databaseOid: _, publicationOid: __, lastChange: ___, ...old } = job.lake.manifests()[0]!;
  const tables = old.tables.map(({ publishedAs: _, ...table }) => table);
  writeFileSync(path, JSON.stringify({ ...old, tables }));
  await job.land("INSERT INTO a VALUES (2, 'two')");
  const newest = job.lake.manifests().at(-1)!;
  expect(newest).toMatchObject({ databaseOid: expect.any(Number), publicationOid: expect.any(Number) });
  for (const { publishedAs } of newest.tables) expect(publishedAs).toBeGreaterThan(0);
  await expectTrue('a', 'b');
});

test('the slot of another database of the server is not taken for the own one', async () => {
  await job.run();
  const other = await job.server.createDatabase();
  await other.sql('CREATE TABLE a (id int PRIMARY KEY)');
  const elsewhere = job.options({ from: other.url });
  await expect(replicate(elsewhere)).rejects.toThrow(`is of the database ${job.database.name}`);
  await dropReplicationOf(elsewhere);
  await expectTrue('a', 'b');
  // Also where no slot says it any more.
  await dropReplicationOf(job.options());
  await expect(replicate({ ...elsewhere, resync: '*.*' })).rejects.toMatchObject({
    code: 'CHECK_FAILED',
    message: expect.stringContaining('the files are of another database of the server'),
    hint: expect.stringContaining('name that database with --from'),
  });
  expect(await other.sql('SELECT FROM pg_publication')).toEqual([]);
  await job.run({ resync: '*.*' });
  await expectTrue('a', 'b');
});

test('a verification changes nothing of the job', async () => {
  await job.run({ tables: ['a'] });
  await job.database.sql("INSERT INTO a VALUES (2, 'two')");
  expect(await job.verify()).toMatchObject({
    differences: 0,
    tables: [{ table: 'a', rows: 2 }],
  });
  expect(job.lake.listed().every((key) => key.startsWith('public/a/'))).toBe(true);
});

test('a verification sees files that are others, and manifests that are missing', async () => {
  await job.run();
  await job.land("UPDATE b SET v = 'changed'");
  await job.land("UPDATE b SET v = 'again'");
  const [first, second] = job.lake.manifests().slice(1);
  const path = (key: string) => join(job.folder, key);
  const whole = readFileSync(path(first!.files[0]!.key));
  copyFileSync(path(second!.files[0]!.key), path(first!.files[0]!.key));
  await expect(job.verify()).rejects.toThrow('is not the file that was landed');
  writeFileSync(path(first!.files[0]!.key), whole);
  await job.expectSame();
  rmSync(join(job.folder, '_longshore', job.name, 'epochs', '0000000001.json'));
  await expect(job.verify()).rejects.toThrow('the manifest of epoch 1');
});
