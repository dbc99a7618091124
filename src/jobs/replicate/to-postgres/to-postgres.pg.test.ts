/** Replications into another PostgreSQL: what is loaded, what is followed, what stands in the way, and what is told of it. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../../test/servers/postgres.ts';
import { NASTY_ROWS, NASTY_SCHEMA } from '../../../../test/worlds/nasty-schema.ts';
import { TwoDatabases } from '../../../../test/worlds/two-databases.ts';
import { LongshoreError } from '../../../errors.ts';
import { checkReplication } from '../check.ts';
import { planReplication } from '../plan.ts';
import { dropReplicationOf, replicate } from '../run.ts';
import { replicateStatus } from '../status.ts';
import { verifyReplica } from '../verify.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const ITEMS = `CREATE TABLE items (id bigserial PRIMARY KEY, v text, n numeric(12, 2), doc jsonb, u text UNIQUE);
  INSERT INTO items (v, n, doc, u) SELECT 'v' || i, i / 3.0, jsonb_build_object('i', i), 'u' || i FROM generate_series(1, 500) i`;

const OWN_SLOTS = 'SELECT slot_name FROM pg_replication_slots WHERE database = current_database()';

async function expectSame(pair: TwoDatabases, ...tables: string[]): Promise<void> {
  for (const table of tables) {
    const [source, target] = await pair.rows(table, table.endsWith('_seq') ? 'last_value, is_called' : '*');
    expect(target, table).toEqual(source);
  }
}

async function failure(promise: Promise<unknown>): Promise<LongshoreError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(LongshoreError);
  return error as LongshoreError;
}

describe('loaded and followed', () => {
  test('rows, changes of every kind, and sequences', async () => {
    await using pair = await TwoDatabases.create(server);
    const { source, target } = pair;
    await source.sql(ITEMS);
    const first = await pair.replicate();
    expect(first).toMatchObject({ epoch: 0, loaded: { rows: 500 }, changes: 0 });
    await source.sql(`INSERT INTO items (v) VALUES ('it''s "{\\}" \\\\ new'), (NULL), ('');
      UPDATE items SET v = NULL, n = n + 1 WHERE id <= 10; UPDATE items SET id = -id WHERE id BETWEEN 5 AND 15;
      DELETE FROM items WHERE id BETWEEN 20 AND 30; UPDATE items SET doc = doc || '{"x": [1.10, "\\u00e9"]}' WHERE id > 400`);
    const second = await pair.replicate();
    expect(second).toMatchObject({ epoch: 1, loaded: { rows: 0 }, changes: 138 });
    await expectSame(pair, 'items', 'items_id_seq');
    expect(await target.sql(`INSERT INTO items (v) VALUES ('next') RETURNING id`)).toEqual([{ id: '504' }]);
  });

  test('a row that changes many times in one landing', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(ITEMS);
    await pair.replicate();
    await pair.source.sql(`INSERT INTO items (id, v) VALUES (1000, 'a'); UPDATE items SET v = 'b' WHERE id = 1000;
      DELETE FROM items WHERE id = 1000; INSERT INTO items (id, v) VALUES (1000, 'c'); UPDATE items SET id = 1001 WHERE id = 1000;
      DELETE FROM items WHERE id = 1; INSERT INTO items (id, v) VALUES (1, 'again'); UPDATE items SET n = 7 WHERE id = 1;
      UPDATE items SET id = 2000 WHERE id = 2; INSERT INTO items (id, v) VALUES (2, 'other'); DELETE FROM items WHERE id = 2000;
      INSERT INTO items (id, v) VALUES (3000, 'x'); DELETE FROM items WHERE id = 3000`);
    await pair.replicate();
    await expectSame(pair, 'items');
  });

  test('rows that take unique values from one another', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(`${ITEMS}; CREATE EXTENSION btree_gist;
      CREATE TABLE rooms (id int PRIMARY KEY, room int, at int4range, big text, EXCLUDE USING gist (room WITH =, at WITH &&));
      ALTER TABLE rooms ALTER big SET STORAGE EXTERNAL;
      INSERT INTO rooms SELECT i, 1, int4range(i, i + 1), repeat('x', 5000) || i FROM generate_series(1, 20) i`);
    await pair.replicate();
    await pair.source.sql(`UPDATE items SET u = 'aside' WHERE id = 1; UPDATE items SET u = 'u1' WHERE id = 2; UPDATE items SET u = 'u2' WHERE id = 1;
      UPDATE items SET u = 'u' || (id + 100000) WHERE id > 100; UPDATE items SET u = 'u' || (id - 1) WHERE id > 101;
      DELETE FROM items WHERE id = 50; INSERT INTO items (u) VALUES ('u50');
      UPDATE rooms SET at = int4range(1000, 1001) WHERE id = 1; UPDATE rooms SET at = int4range(1, 2) WHERE id = 2; UPDATE rooms SET at = int4range(2, 3) WHERE id = 1`);
    await pair.replicate();
    await expectSame(pair, 'items', 'rooms');
  });

  test('a table that was called otherwise for a while is loaded again', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(
      `${ITEMS}; CREATE TABLE other AS SELECT id, v FROM items; ALTER TABLE other ADD PRIMARY KEY (id)`,
    );
    await pair.replicate();
    await pair.source.sql(`INSERT INTO items (v) VALUES ('before'); ALTER TABLE items RENAME TO aside; INSERT INTO aside (v) VALUES ('then');
      UPDATE aside SET v = 'then' WHERE id = 1; ALTER TABLE aside RENAME TO items; INSERT INTO items (v) VALUES ('after'); DELETE FROM other`);
    await pair.replicate();
    await expectSame(pair, 'items', 'other', 'items_id_seq');
    await pair.source.sql('DELETE FROM items WHERE id < 100');
    await pair.replicate();
    await expectSame(pair, 'items');
    await pair.source.sql('ALTER TABLE items RENAME TO things');
    await pair.replicate();
    await pair.replicate({ resync: '*.*' });
    await expectSame(pair, 'things', 'other');
  });

  test('values that updates do not send, of rows and of keys', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(`CREATE TABLE docs (key text, id int, body text, v int, PRIMARY KEY (key, id));
      ALTER TABLE docs ALTER body SET STORAGE EXTERNAL, ALTER key SET STORAGE EXTERNAL;
      INSERT INTO docs SELECT repeat('k', 2100), i, repeat('b', 9000) || i, 0 FROM generate_series(1, 30) i`);
    await pair.replicate();
    await pair.source.sql(`UPDATE docs SET v = 1; UPDATE docs SET v = 2 WHERE id < 10; UPDATE docs SET id = id + 100 WHERE id < 5;
      UPDATE docs SET v = 3 WHERE id < 110; UPDATE docs SET id = id + 1000 WHERE id = 101; DELETE FROM docs WHERE id = 102;
      INSERT INTO docs VALUES ('new', 1, repeat('n', 9000), 0); UPDATE docs SET id = 2, v = 9 WHERE key = 'new'`);
    await pair.replicate();
    await expectSame(pair, 'docs');
  });

  test('tables without a key, and keys that hold only when a transaction ends', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(`CREATE TABLE log (at float8, v jsonb, p point, x xml, n numeric);
      INSERT INTO log VALUES (0, '1.0', '(1,2)', '<a/>', 1.0), ('-0', '1.00', '(1,2)', '<a/>', 1.00), (0, '1.0', '(1,2)', '<a/>', 1.0), (NULL, NULL, NULL, NULL, NULL);
      CREATE TABLE late (id int, v text, PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED); INSERT INTO late VALUES (1, 'a'), (2, 'b');
      CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;
      ALTER TABLE log REPLICA IDENTITY FULL; ALTER TABLE late REPLICA IDENTITY FULL; ALTER TABLE nothing REPLICA IDENTITY FULL`);
    await pair.replicate();
    await pair.source.sql(`DELETE FROM log WHERE n::text = '1.00'; UPDATE log SET v = '2' WHERE ctid = (SELECT min(ctid) FROM log);
      DELETE FROM log WHERE at IS NULL; INSERT INTO log SELECT i, to_jsonb(i), NULL, NULL, i FROM generate_series(1, 50) i; UPDATE log SET p = '(0,0)' WHERE n > 25;
      BEGIN; UPDATE late SET id = 2 WHERE v = 'a'; UPDATE late SET id = 1 WHERE v = 'b'; COMMIT;
      INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES; DELETE FROM nothing WHERE ctid = '(0,1)'`);
    await pair.replicate();
    await expectSame(pair, 'log', 'late', 'nothing');
  });

  test('tables that are truncated, with what points to them and in the middle of changes', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(`${ITEMS}; CREATE TABLE parts (id serial PRIMARY KEY, item bigint REFERENCES items);
      CREATE TABLE others (id int PRIMARY KEY); INSERT INTO parts (item) SELECT i FROM generate_series(1, 100) i;
      INSERT INTO others SELECT generate_series(1, 10);
      CREATE TABLE days (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
      INSERT INTO days SELECT i, '2026-01-10' FROM generate_series(1, 10) i`);
    await pair.replicate();
    await pair.source.sql(`INSERT INTO items (v) VALUES ('gone'); TRUNCATE items RESTART IDENTITY CASCADE;
      INSERT INTO items (v) VALUES ('first'), ('second'); INSERT INTO parts (item) VALUES (1), (2);
      DELETE FROM others WHERE id = 3; TRUNCATE others; INSERT INTO others VALUES (3); TRUNCATE days; INSERT INTO days VALUES (1, '2026-01-05')`);
    await pair.replicate();
    await expectSame(pair, 'items', 'parts', 'others', 'days', 'items_id_seq', 'parts_id_seq');
    // A table of somebody else points to it.
    await pair.target.sql(
      `CREATE TABLE remarks (id int PRIMARY KEY, item bigint REFERENCES parts); INSERT INTO remarks VALUES (1, NULL)`,
    );
    await pair.source.sql('TRUNCATE parts; INSERT INTO parts (item) VALUES (2)');
    await pair.replicate();
    await expectSame(pair, 'parts');
    expect(await pair.target.sql('SELECT id FROM remarks')).toEqual([{ id: 1 }]);
  });

  test('everything that a table can be made of', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(NASTY_SCHEMA);
    await pair.source.sql(
      `${NASTY_ROWS}; ALTER TABLE nasty.empty REPLICA IDENTITY FULL; ALTER TABLE nasty.round REPLICA IDENTITY FULL`,
    );
    await pair.replicate();
    await pair.source.sql(`UPDATE nasty.kinds SET moods = moods || 'sad'::parts.mood, whose = 'nasty.parted', amount.value = 7 WHERE id BETWEEN 2 AND 9;
      UPDATE nasty.kinds SET always = DEFAULT WHERE id IN (10, 11); INSERT INTO nasty.kinds (n, amount) VALUES (900, ROW(9.5, 'é"\\', 'sad')::parts.amount);
      DELETE FROM nasty.parted WHERE id < 5; UPDATE nasty.parted SET at = at + 30 WHERE id BETWEEN 10 AND 20;
      UPDATE nasty.parent SET id = id + 1000 WHERE id < 5; DELETE FROM nasty.grandchild WHERE x = 3; UPDATE nasty.grandchild SET x = 100 WHERE x = 4;
      UPDATE "Odd "".é"."T a.b" SET v = v || '''' WHERE "id ""x" = 3; ALTER TYPE parts.mood ADD VALUE 'glad' BEFORE 'sad'`);
    await pair.source.sql(`UPDATE nasty.kinds SET mood = 'glad' WHERE id = 12`);
    await pair.replicate();
    const { differences, tables } = await verifyReplica(pair.options());
    expect(tables.filter(({ differencesCount }) => differencesCount > 0)).toEqual([]);
    expect([differences, tables.length]).toEqual([0, 9]);
    expect(await pair.target.sql(`SELECT 'glad'::parts.mood < 'sad' AS before`)).toEqual([{ before: true }]);
  });

  test('a role that may not silence triggers: changes in their order, keys that act', async () => {
    await using pair = await TwoDatabases.create(server);
    const { source, target } = pair;
    const role = `longshore_${process.pid}`;
    await target.sql(
      `CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT CREATE ON DATABASE ${target.name} TO ${role}; GRANT ALL ON SCHEMA public TO ${role}`,
    );
    const to = new URL(target.url);
    to.username = role;
    to.password = 'secret';
    await source.sql(`CREATE TABLE parents (id int PRIMARY KEY, v text); CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE, v text);
      CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree DEFERRABLE INITIALLY IMMEDIATE);
      INSERT INTO parents SELECT i, 'p' FROM generate_series(1, 20) i; INSERT INTO children SELECT i, 1 + i % 20, 'c' FROM generate_series(1, 100) i`);
    await pair.replicate({ to: to.href });
    await source.sql(`INSERT INTO parents VALUES (30, 'new'); INSERT INTO children VALUES (300, 30, 'new'); DELETE FROM parents WHERE id < 5; UPDATE parents SET id = id + 100 WHERE id < 10;
      UPDATE children SET v = 'x' WHERE id % 2 = 0; UPDATE children SET v = 'y' WHERE id % 4 = 0; DELETE FROM children WHERE id = 11; INSERT INTO children VALUES (11, 30, 'again');
      BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO tree VALUES (2, 1); INSERT INTO tree VALUES (1, NULL); COMMIT`);
    await pair.replicate({ to: to.href });
    expect(pair.notices.join()).toContain('may not set session_replication_role');
    await expectSame(pair, 'parents', 'children', 'tree');
    await target.sql(`REASSIGN OWNED BY ${role} TO CURRENT_USER; DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test('a transaction that is larger than what is gathered', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(
      `${ITEMS}; ALTER DATABASE ${pair.source.name} SET logical_decoding_work_mem = '64kB'`,
    );
    await pair.replicate();
    await pair.source.sql(
      `INSERT INTO items (v) SELECT repeat('x', 1000) FROM generate_series(1, 20000); UPDATE items SET n = 1 WHERE id % 2 = 0`,
    );
    expect((await pair.replicate()).epoch).toBe(1);
    await expectSame(pair, 'items');
  });
});

describe('columns that change', () => {
  test('are added, dropped, renamed and made longer', async () => {
    await using pair = await TwoDatabases.create(server);
    const { source } = pair;
    await source.sql(
      `CREATE TABLE t (id int PRIMARY KEY, a text, b int, c varchar(5), d numeric(6, 2)); INSERT INTO t SELECT i, 'a' || i, i, 'c', i FROM generate_series(1, 5) i`,
    );
    await pair.replicate();
    await source.sql(`INSERT INTO t VALUES (10, 'before', 1, 'x', 1)`);
    await source.sql(`ALTER TABLE t ADD e int, ADD f text DEFAULT 'it''s', ADD g timestamptz DEFAULT now()`);
    await source.sql(`INSERT INTO t (id, e) VALUES (11, 5)`);
    await source.sql(
      `ALTER TABLE t RENAME a TO "A b"; ALTER TABLE t DROP b; ALTER TABLE t ALTER c TYPE varchar(20), ALTER d TYPE numeric(12, 2)`,
    );
    await source.sql(`UPDATE t SET "A b" = 'renamed', c = repeat('c', 20), d = 1234567.89 WHERE id = 11`);
    await pair.replicate();
    await expectSame(pair, 't');
    await source.sql(
      `ALTER TABLE t ADD h int; ALTER TABLE t ALTER h SET DEFAULT 7; INSERT INTO t (id) VALUES (12)`,
    );
    await pair.replicate();
    await expectSame(pair, 't');
    expect((await verifyReplica(pair.options())).differences).toBe(0);
    const status = await replicateStatus(pair.options());
    expect(status.tables[0]).toMatchObject({ table: 't', state: 'following', ddls: 3 });
  });

  test.each([
    ['a type', 'ALTER TABLE t ALTER a TYPE text USING upper(a::text)', 'the type of a'],
    [
      'another value for each row',
      'ALTER TABLE t ADD x float8 DEFAULT random()',
      'x was added with another value',
    ],
    [
      'two that change places',
      'ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME c TO b',
      'another column',
    ],
    ['one that was made again', 'ALTER TABLE t DROP b; ALTER TABLE t ADD b int', 'b is another column'],
  ])('stop the job where nobody can tell: %s', async (_, change, why) => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(
      `CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 2, 3)`,
    );
    await pair.replicate();
    await pair.source.sql(change);
    await pair.source.sql('INSERT INTO t (id) VALUES (2)');
    const error = await failure(pair.replicate());
    expect([error.code, error.message, error.hint]).toEqual([
      'CHECK_FAILED',
      expect.stringContaining(why),
      expect.stringContaining("--resync 'public.t'"),
    ]);
    expect((await pair.target.sql('SELECT count(*)::int AS rows FROM t'))[0]).toEqual({ rows: 1 });
    await pair.replicate({ resync: '*.*' });
    await expectSame(pair, 't');
  });
});

test('a table with other columns is made again when it is loaded again, with what points to it', async () => {
  await using pair = await TwoDatabases.create(server);
  const { source, target } = pair;
  await source.sql(`CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t);
    INSERT INTO t VALUES (1, 2); INSERT INTO u VALUES (1, 1)`);
  await pair.replicate();
  await source.sql('INSERT INTO t VALUES (2, 3); INSERT INTO u VALUES (2, 2)');
  await source.sql('ALTER TABLE t ALTER a TYPE text USING a || $$!$$');
  await source.sql(`INSERT INTO t VALUES (3, 'x')`);
  await failure(pair.replicate());
  // A load that dies behind that, and cannot be gone on with.
  const dying = (point: string) => {
    if (point === 'tables-made') throw new Error('stopped');
  };
  await expect(pair.replicate({ resync: 'public.t' }, { failpoint: dying })).rejects.toThrow();
  await pair.replicate();
  await expectSame(pair, 't', 'u');
  expect(await target.sql(`SELECT conname AS name FROM pg_constraint WHERE contype = 'f'`)).toEqual([
    { name: 'u_t_fkey' },
  ]);
  await source.sql(
    `UPDATE t SET a = 'y' WHERE id = 3; DELETE FROM u WHERE id = 2; DELETE FROM t WHERE id = 2`,
  );
  await pair.replicate();
  await expectSame(pair, 't', 'u');
});

test('a load of tables again that dies is made good by the next run', async () => {
  await using pair = await TwoDatabases.create(server);
  await pair.source.sql(
    `${ITEMS}; CREATE TABLE parts (id int PRIMARY KEY, item bigint REFERENCES items); INSERT INTO parts VALUES (1, 1)`,
  );
  await pair.replicate();
  const dying = (point: string) => {
    if (point === 'tables-made') throw new Error('stopped');
  };
  await expect(pair.replicate({ resync: 'items' }, { failpoint: dying })).rejects.toThrow();
  await pair.source.sql('UPDATE items SET n = 0 WHERE id < 10');
  await pair.replicate();
  await expectSame(pair, 'items', 'parts');
});

describe('tables that come and go', () => {
  test('are loaded, renamed, made again, and left where they are', async () => {
    await using pair = await TwoDatabases.create(server);
    const { source, target } = pair;
    await source.sql(`${ITEMS}; CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO gone VALUES (1)`);
    await pair.replicate();
    await source.sql(`INSERT INTO gone VALUES (2); DROP TABLE gone; CREATE TYPE mood AS ENUM ('ok');
      CREATE TABLE more (id serial PRIMARY KEY, item bigint REFERENCES items, mood mood); INSERT INTO more (item, mood) SELECT i, 'ok' FROM generate_series(1, 9) i;
      UPDATE items SET v = 'x' WHERE id < 10`);
    await pair.replicate();
    await expectSame(pair, 'items', 'more', 'more_id_seq');
    expect(pair.notices.join()).toContain('public.gone has left the job');
    expect(await target.sql('SELECT id FROM gone')).toEqual([{ id: 1 }, { id: 2 }]);
    expect(await target.sql(`SELECT conname AS name FROM pg_constraint WHERE contype = 'f'`)).toEqual([
      { name: 'more_item_fkey' },
    ]);

    await source.sql(`ALTER TABLE more RENAME TO renamed; INSERT INTO renamed (item) VALUES (1)`);
    await pair.replicate();
    await expectSame(pair, 'renamed');
    await source.sql(
      `DROP TABLE renamed; CREATE TABLE renamed (id text PRIMARY KEY, z int); INSERT INTO renamed VALUES ('a', 1)`,
    );
    await pair.replicate();
    await expectSame(pair, 'renamed');
  });

  test('take names from one another, and from tables that left; not from what is not of the job', async () => {
    await using pair = await TwoDatabases.create(server);
    const { source, target } = pair;
    await source.sql(`CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE t_new (id int PRIMARY KEY, v text, w int);
      CREATE TABLE u (id int PRIMARY KEY); INSERT INTO t VALUES (1, 'a'); INSERT INTO t_new VALUES (1, 'b', 2), (2, 'b', 3)`);
    await pair.replicate();
    const swap = (one: string, other: string): string =>
      `ALTER TABLE ${one} RENAME TO aside; ALTER TABLE ${other} RENAME TO ${one}; ALTER TABLE aside RENAME TO ${other};`;
    // A chain of names, while changes are made before and behind it.
    await source.sql(`UPDATE t SET v = 'c'; BEGIN; ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t; COMMIT;
      INSERT INTO t VALUES (3, 'd', 4); INSERT INTO t_old VALUES (2, 'e')`);
    await pair.replicate();
    await expectSame(pair, 't', 't_old', 'u');
    await source.sql(`${swap('t', 't_old')} INSERT INTO t VALUES (5, 'f'); DELETE FROM t_old WHERE id = 1`);
    await pair.replicate();
    await expectSame(pair, 't', 't_old', 'u');
    // One that goes gives its name to another one.
    await source.sql(
      `DROP TABLE t_old; ALTER TABLE t RENAME TO t_old; CREATE TABLE t (z int PRIMARY KEY); INSERT INTO t VALUES (7)`,
    );
    await pair.replicate();
    await expectSame(pair, 't', 't_old', 'u');

    await source.sql('DROP TABLE u');
    await pair.replicate();
    await source.sql(`INSERT INTO t_old VALUES (9, 'g')`);
    await pair.replicate();
    await source.sql(`ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (8)`);
    const error = await failure(pair.replicate());
    expect(error.code).toBe('CHECK_FAILED');
    expect(error.message).toContain('"public"."u" is in');
    expect(error.hint).toContain('drop it there');
    expect(await target.sql('SELECT z FROM t')).toEqual([{ z: 7 }]);
    await target.sql('DROP TABLE u');
    await pair.replicate();
    await expectSame(pair, 'u', 't_old');
  });

  test('are loaded again on demand', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(
      `${ITEMS}; CREATE TABLE parts (id int PRIMARY KEY, item bigint REFERENCES items); INSERT INTO parts VALUES (1, 1)`,
    );
    await pair.replicate();
    await pair.target.sql(`DELETE FROM parts; UPDATE items SET v = 'spoilt' WHERE id < 10`);
    await pair.source.sql('UPDATE parts SET item = 2; DELETE FROM items WHERE id = 1');
    const error = await failure(pair.replicate());
    expect([error.code, error.message]).toEqual([
      'DATABASE_FAILED',
      '1 rows of public.parts that the source updated are not in the target',
    ]);
    await pair.replicate({ resync: 'public.*' });
    await expectSame(pair, 'items', 'parts');
    await dropReplicationOf(pair.options());
    await pair.source.sql('INSERT INTO parts VALUES (7, 7)');
    expect((await failure(pair.replicate())).message).toContain('is gone: changes since');
    await pair.replicate({ resync: '*.*' });
    await expectSame(pair, 'items', 'parts');
  });
});

describe('what stands in the way', () => {
  test('a table that is in the target, before anything is made', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(`${ITEMS}; CREATE TABLE others (id int PRIMARY KEY)`);
    await pair.target.sql('CREATE TABLE items (x int)');
    const error = await failure(pair.replicate());
    expect([error.code, error.message]).toEqual([
      'CHECK_FAILED',
      expect.stringMatching(/^"public"."items" is in postgres:\S+ already$/),
    ]);
    const { problems } = await planReplication(pair.options());
    expect(problems.map(({ what }) => what)).toEqual([error.message]);
    expect(
      await pair.target.sql(`SELECT relname FROM pg_class WHERE relkind = 'r' AND oid >= 16384`),
    ).toEqual([{ relname: 'items' }]);
    expect(await pair.target.sql(`SELECT nspname FROM pg_namespace WHERE nspname = 'longshore'`)).toEqual([]);
    expect(await pair.source.sql(OWN_SLOTS)).toEqual([]);
  });

  test('another type of the name, with nothing left behind', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(`CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (id int PRIMARY KEY, m mood)`);
    await pair.target.sql(`CREATE TYPE mood AS ENUM ('b', 'a')`);
    const error = await failure(pair.replicate());
    expect([error.code, error.message]).toEqual([
      'CHECK_FAILED',
      expect.stringContaining('the type "public"."mood" is in'),
    ]);
    expect(await pair.source.sql(OWN_SLOTS)).toEqual([]);
    expect(await pair.target.sql(`SELECT to_regclass('t') AS t`)).toEqual([{ t: null }]);
    await pair.target.sql(`DROP TYPE mood; CREATE TYPE mood AS ENUM ('a', 'b')`);
    await pair.replicate();
    await expectSame(pair, 't');
  });

  test('a table without an identity, a slot of somebody else, the same job twice', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql('CREATE TABLE t (id int)');
    expect((await failure(pair.replicate())).message).toContain('neither a primary key');
    await pair.source.sql('ALTER TABLE t ADD PRIMARY KEY (id)');
    await pair.source.sql(`SELECT pg_create_logical_replication_slot('longshore_${pair.name}', 'pgoutput')`);
    expect((await failure(pair.replicate())).message).toContain('and nothing of the job');
    await dropReplicationOf(pair.options());
    await pair.replicate();
    expect((await failure(pair.replicate({ mode: 'full-load' }))).message).toContain('has loaded already');
    // A copy of the target elsewhere is not ahead of the slot, but of another server it would not be ours.
    await pair.target.sql(`UPDATE longshore.checkpoint SET system_id = '1'`);
    expect((await failure(pair.replicate())).message).toContain('is of another server');
  });

  test('a target that was put back to an older state', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(ITEMS);
    await pair.replicate();
    const [before] = await pair.target.sql('SELECT lsn::text, epoch FROM longshore.checkpoint');
    await pair.source.sql(`UPDATE items SET v = 'x'`);
    await pair.replicate();
    await pair.target.sql(
      `UPDATE longshore.checkpoint SET lsn = '${before!['lsn']}', epoch = ${before!['epoch']}`,
    );
    expect((await failure(pair.replicate())).message).toContain('ahead of the target');
  });

  test('two processes: the second one is refused, and what one did not commit is not there', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(ITEMS);
    await pair.replicate();
    const stop = new AbortController();
    const notices: string[] = [];
    const following = Promise.withResolvers<void>();
    const landed = Promise.withResolvers<void>();
    const first = replicate(pair.options({ untilCaughtUp: false }), {
      signal: stop.signal,
      emit: (event) => {
        if (event.type === 'following') following.resolve();
        if (event.type === 'notice') notices.push(event.text);
        if (event.type === 'epoch-landed') landed.resolve();
      },
    });
    await following.promise;
    expect((await failure(pair.replicate())).code).toBe('RUN_LOCKED');
    // One that came through all the same.
    await pair.target.sql('UPDATE longshore.checkpoint SET epoch = epoch + 1');
    await pair.source.sql(`UPDATE items SET n = n + 1`);
    await landed.promise;
    expect(notices.join()).toContain('another process works on the job');
    stop.abort(new Error('stopped by the test'));
    await expect(first).rejects.toThrow('stopped by the test');
    await pair.replicate();
    await expectSame(pair, 'items');
  });
});

describe('told', () => {
  test('what is in the way, and what is not', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(`${ITEMS}; CREATE TABLE keyless (id int)`);
    await pair.target.sql('CREATE TABLE items (x int)');
    const { findings, errors } = await checkReplication(pair.options());
    expect([errors, findings.map(({ what }) => what)]).toEqual([
      2,
      [
        expect.stringContaining('public.keyless has neither'),
        expect.stringContaining('"public"."items" is in'),
      ],
    ]);
    await pair.target.sql('DROP TABLE items');
    expect(await checkReplication(pair.options({ tables: 'items' }))).toMatchObject({
      errors: 0,
      findings: [],
    });
    const absent = await checkReplication(pair.options({ to: `${pair.target.url}_absent` }));
    expect([absent.errors, absent.findings[0]?.what]).toEqual([1, expect.stringContaining('does not exist')]);
    expect(await pair.target.sql(`SELECT to_regclass('items') AS items`)).toEqual([{ items: null }]);
  });

  test('status, while it loads and when it follows', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(ITEMS);
    expect(await replicateStatus(pair.options())).toMatchObject({
      lsn: undefined,
      tables: [],
      server: { slot: 'absent' },
    });
    await expect(
      pair.replicate(
        {},
        {
          failpoint: (point) => {
            if (point === 'later-made') throw new Error('stopped');
          },
        },
      ),
    ).rejects.toThrow();
    expect(pair.notices.at(-1)).toContain('the same command goes on');
    expect((await replicateStatus(pair.options())).tables).toMatchObject([
      { table: 'items', state: 'loading', fullLoadRows: 500, chunks: { done: 1, all: 1 } },
    ]);
    await pair.replicate();
    await pair.source.sql(
      `DELETE FROM items WHERE id <= 3; UPDATE items SET v = 'x' WHERE id = 4; TRUNCATE items`,
    );
    await pair.replicate();
    const status = await replicateStatus(pair.options());
    expect(status).toMatchObject({
      epoch: 1,
      server: { slot: 'idle' },
      tables: [{ state: 'following', fullLoadRows: 500, deletes: 3, updates: 1, truncations: 1 }],
    });
    expect(status.lastCommitMs).toBeGreaterThan(Date.now() - 60_000);
  });

  test('verify names rows that differ, at one place while changes go on', async () => {
    await using pair = await TwoDatabases.create(server);
    const { source, target } = pair;
    await source.sql(
      `${ITEMS}; CREATE TABLE log (v text); ALTER TABLE log REPLICA IDENTITY FULL; INSERT INTO log VALUES ('a'), ('a'), ('b')`,
    );
    expect((await failure(verifyReplica(pair.options()))).message).toContain('has landed nothing');
    await pair.replicate();
    let stop = false;
    const writing = (async () => {
      for (let i = 0; !stop; i++)
        await source.sql(
          `INSERT INTO items (v) VALUES ('w${i}'); UPDATE items SET n = ${i} WHERE id % 50 = 0; DELETE FROM items WHERE id = ${500 + i / 2}`,
        );
    })();
    for (let i = 0; i < 3; i++) expect(await verifyReplica(pair.options())).toMatchObject({ differences: 0 });
    stop = true;
    await writing;
    await target.sql(
      `UPDATE items SET v = 'other' WHERE id = 7; DELETE FROM items WHERE id = 8; INSERT INTO items (id) VALUES (-1); DELETE FROM log WHERE ctid = '(0,1)'; INSERT INTO log VALUES ('c')`,
    );
    const { tables } = await verifyReplica(pair.options());
    const sorted = tables.map(({ table, differences, differencesCount }) => [
      table,
      differencesCount,
      differences.map(({ key, what }) => `${key} ${what}`).sort(),
    ]);
    expect(sorted).toEqual([
      ['items', 3, ['["-1"] only in the target', '["7"] different', '["8"] only in the table']],
      ['log', 2, ['(a) only in the table', '(c) only in the target']],
    ]);
  });

  test('what is not copied', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(NASTY_SCHEMA);
    const { notices } = await planReplication(
      pair.options({ tables: 'nasty.kinds,nasty.parent,nasty.round' }),
    );
    expect(notices).toEqual([
      'not copied: the triggers touched of nasty.kinds',
      'not copied: the row level security of nasty.round',
      'not copied: the views nasty.moods',
      expect.stringContaining('the foreign key around of nasty.kinds is not copied'),
      expect.stringContaining('the foreign key parent_outside_fkey of nasty.parent is not copied'),
    ]);
  });

  test('a full load alone, and changes alone', async () => {
    await using pair = await TwoDatabases.create(server);
    await pair.source.sql(ITEMS);
    await pair.replicate({ mode: 'full-load' });
    await expectSame(pair, 'items');
    expect(await pair.source.sql(OWN_SLOTS)).toEqual([]);
    expect(await verifyReplica(pair.options({ mode: 'full-load' }))).toMatchObject({ differences: 0 });
    const other = pair.options({ mode: 'cdc', name: `${pair.name}_cdc` });
    await replicate(other);
    await pair.source.sql(`UPDATE items SET v = 'x' WHERE id < 100`);
    await replicate(other);
    await expectSame(pair, 'items');
    await dropReplicationOf(other);
    await pair.source.sql('CREATE TABLE absent (id int PRIMARY KEY)');
    expect((await failure(replicate({ ...other, name: `${pair.name}_2` }))).message).toContain(
      '"public"."absent" is not in',
    );
  });
});
