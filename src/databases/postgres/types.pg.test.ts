/** What only PostgreSQL has: domains, arrays, citext, partitions, CTID ranges, triggers that rewrite. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import type { ColumnFacts, Database, KeyRange, NamingRow } from '../database.ts';
import { openDatabase } from '../open-database.ts';
import {
  boundaryStatement,
  rewriteText,
  rowsWithValueStatement,
  type Statement,
  scanStatement,
} from './sql.ts';

describe('PostgreSQL', () => {
  let server: PostgresServer;
  let target: PostgresTestDatabase;
  let db: Database;
  const ignore = () => {};
  const facts = (table: string, column = 'path') => db.describe({ table, column, within: 'auto' });

  beforeAll(async () => {
    server = await postgresServer();
    target = await server.createDatabase();
    db = await openDatabase(parseDatabaseUrl(target.url, {}), { connections: 3 });
  });
  afterAll(async () => {
    await db?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  async function walk(
    column: ColumnFacts,
    rowsPerRange: number,
  ): Promise<{ ranges: KeyRange[]; rows: NamingRow[] }> {
    const ranges: KeyRange[] = [];
    const rows: NamingRow[] = [];
    for await (const range of db.ranges(column, rowsPerRange)) ranges.push(range);
    for (const range of ranges) {
      for await (const batch of db.scan(column, range, { batchRows: 50 })) rows.push(...batch);
    }
    return { ranges, rows };
  }

  it.each([
    ['text', { dataType: 'text', within: 'value', indexed: true }],
    ['varchar(7)', { dataType: 'character varying', within: 'value', indexed: true, lengthMax: 7 }],
    ['char(9)', { dataType: 'bpchar', within: 'value', indexed: true, lengthMax: 9 }],
    ['key_path', { dataType: 'character varying', within: 'value', indexed: true, lengthMax: 12 }],
    ['citext', { dataType: 'citext', within: 'value', indexed: true }],
    ['text[]', { dataType: 'text[]', within: 'array', indexed: false }],
    ['varchar(9)[]', { dataType: 'character varying[]', within: 'array', indexed: false }],
    ['jsonb', { dataType: 'jsonb', within: 'json', indexed: false }],
    ['mood', { dataType: 'mood', within: 'value', indexed: false }],
  ])('describes %s', async (type, expected) => {
    await target.sql(`
      CREATE EXTENSION IF NOT EXISTS citext;
      DROP DOMAIN IF EXISTS key_path CASCADE; DROP DOMAIN IF EXISTS any_path CASCADE; DROP TYPE IF EXISTS mood CASCADE;
      CREATE DOMAIN key_path AS varchar(12); CREATE DOMAIN any_path AS key_path; CREATE TYPE mood AS ENUM ('ok', 'sad');
      DROP TABLE IF EXISTS typed; CREATE TABLE typed (id int PRIMARY KEY, path ${type}); CREATE INDEX ON typed (path)`);
    const { lengthMax, ...rest } = await facts('typed');
    expect({ ...rest, ...(lengthMax && { lengthMax }) }).toMatchObject(expected);
  });

  it.each([
    ['citext', 'A/x', 'b/X'],
    ['text[]', '{a,"b c","d\\"e"}', '{"x",y}'],
    ['json', '{"a":  "x"}', '{"a":  "y"}'],
    ['char(9)', 'a', 'b'],
    ['key_path', 'a', 'b'],
    ['mood', 'ok', 'sad'],
    ['uuid', '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002'],
  ])('rewrites %s, and not another value of it', async (type, before, after) => {
    await target.sql(`DROP TABLE IF EXISTS typed; CREATE TABLE typed (id int PRIMARY KEY, path ${type});
      INSERT INTO typed VALUES (1, '${before}')`);
    const column = await facts('typed');
    const [row] = (await walk(column, 10)).rows;
    expect(row).toEqual({ primaryKey: ['1'], value: before });
    const other = { primaryKey: ['1'], oldValue: before.toUpperCase().concat(' '), newValue: after };
    expect(await db.rewrite(column, [other], ignore)).toEqual([]);
    const changed = await db.rewrite(
      column,
      [{ primaryKey: ['1'], oldValue: before, newValue: after }],
      ignore,
    );
    expect(changed).toHaveLength(1);
    expect((await walk(column, 10)).rows).toEqual([{ primaryKey: ['1'], value: changed[0]!.newValue }]);
  });

  it('refuses what a length of a domain would cut', async () => {
    await target.sql(`DROP TABLE IF EXISTS typed; CREATE TABLE typed (id int PRIMARY KEY, path any_path);
      INSERT INTO typed VALUES (1, 'short')`);
    const column = await facts('typed');
    expect(column.lengthMax).toBe(12);
    const long = { primaryKey: ['1'], oldValue: 'short', newValue: '0123456789abcdef' };
    await expect(db.rewrite(column, [long], ignore)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
  });

  it('reads and rewrites partitioned tables, and counts their rows', async () => {
    await target.sql(`
      CREATE TABLE parted (id int, day int, path text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
      CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
      CREATE TABLE parted_3 PARTITION OF parted_2 FOR VALUES FROM (0) TO (1000);
      INSERT INTO parted SELECT i, i % 20, 'image/' || i FROM generate_series(0, 499) i; ANALYZE parted_1; ANALYZE parted_3`);
    const column = await facts('parted');
    expect(column).toMatchObject({ kind: 'partitioned', rowsEstimate: 500 });
    const { ranges, rows } = await walk(column, 60);
    expect(ranges).toHaveLength(9);
    expect(new Set(rows.map((row) => row.value)).size).toBe(500);
    const changes = rows.map(({ primaryKey, value }) => ({
      primaryKey,
      oldValue: value,
      newValue: `x${value}`,
    }));
    expect(await db.rewrite(column, changes, ignore)).toHaveLength(500);
    await target.sql(`CREATE TABLE bare (id int, path text) PARTITION BY RANGE (id);
      CREATE TABLE bare_1 PARTITION OF bare DEFAULT; INSERT INTO bare SELECT i, 'p' || i FROM generate_series(1, 300) i`);
    const bare = await walk(await facts('bare'), 10);
    expect(bare.ranges).toEqual([{}]);
    expect(bare.rows).toHaveLength(300);
  });

  it('cuts a table without key by pages', async () => {
    await target.sql(`CREATE TABLE heap (path text); INSERT INTO heap SELECT 'p' || i FROM generate_series(1, 5000) i;
      DELETE FROM heap WHERE path LIKE '%7'; ANALYZE heap`);
    const column = await facts('heap');
    const { ranges, rows } = await walk(column, 500);
    expect(ranges.length).toBeGreaterThan(4);
    expect(ranges[0]).toEqual({ upTo: [expect.stringMatching(/^\(\d+,0\)$/)] });
    expect(new Set(rows.map((row) => row.value)).size).toBe(4500);
    expect(rows).toHaveLength(4500);
    const plan = await explain(scanStatement(column, ranges[1]!, undefined, 10));
    expect(plan).toContain('Tid Range Scan');
  });

  it('counts a small table that was never analysed', async () => {
    await target.sql(`CREATE TABLE fresh (id int PRIMARY KEY, path text) WITH (autovacuum_enabled = off);
      INSERT INTO fresh SELECT i, 'p' FROM generate_series(1, 321) i`);
    expect((await facts('fresh')).rowsEstimate).toBe(321);
  });

  it('answers from the indexes', async () => {
    await target.sql(`
      CREATE TABLE big (a int, b text, path text, PRIMARY KEY (a, b));
      INSERT INTO big SELECT i % 3, 'k' || i, 'image/' || i FROM generate_series(1, 60000) i;
      CREATE INDEX ON big (path); ANALYZE big`);
    const column = await facts('big');
    const key = ['1', 'k1000'];
    const ten = (prefix: string) =>
      `{${Array.from({ length: 10 }, (_, index) => `"${prefix}${index}"`).join(',')}}`;
    const statements: Record<string, Statement> = {
      scan: scanStatement(column, { after: key, upTo: ['1', 'k2'] }, ['x'], 100),
      boundary: boundaryStatement(column, key, 100),
      values: rowsWithValueStatement(column, ['image/1', 'image/2']),
      byKey: {
        text: rewriteText(column, false),
        values: [`{${'1,'.repeat(9)}1}`, ten('k'), ten('a'), ten('b')],
      },
      byValue: { text: rewriteText(column, true), values: [ten('image/'), ten('b')] },
    };
    for (const [name, statement] of Object.entries(statements)) {
      const plan = await explain(statement);
      expect(plan, name).toMatch(/Index (Only )?Scan/);
      expect(plan, name).not.toContain('Seq Scan');
    }
  });

  async function explain({ text, values }: Statement): Promise<string> {
    let filled = text;
    for (const [index, value] of [...values.entries()].reverse()) {
      filled = filled.replaceAll(`$${index + 1}`, () => `'${String(value)}'`);
    }
    const rows = await target.sql(`EXPLAIN ${filled}`);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  }

  it('refuses what a trigger makes of the value, and leaves out rows that a trigger keeps', async () => {
    await target.sql(`
      CREATE TABLE shouting (id int PRIMARY KEY, path text); INSERT INTO shouting VALUES (1, 'a'), (2, 'b');
      CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.path := upper(NEW.path); RETURN NEW; END';
      CREATE TRIGGER shout BEFORE UPDATE ON shouting FOR EACH ROW EXECUTE FUNCTION shout()`);
    const column = await facts('shouting');
    const changes = ['1', '2'].map((id) => ({
      primaryKey: [id],
      oldValue: id === '1' ? 'a' : 'b',
      newValue: 'x',
    }));
    await expect(db.rewrite(column, changes, ignore)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
    expect((await walk(column, 10)).rows.map((row) => row.value)).toEqual(['a', 'b']);
    await target.sql(
      "CREATE OR REPLACE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    );
    expect(await db.rewrite(column, changes, ignore)).toEqual([]);
    await target.sql(
      "CREATE OR REPLACE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not now''; END'",
    );
    await expect(db.rewrite(column, changes, ignore)).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringContaining('not now'),
    });
  });

  const lower = (timing: string, table: string) => `
    CREATE FUNCTION lower_${table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      UPDATE ${table} SET path = lower(path::text) WHERE path::text <> lower(path::text); RETURN NULL; END $$;
    CREATE ${timing} ON ${table} FOR EACH ROW EXECUTE FUNCTION lower_${table}()`;

  it.each([
    ['after_key', 'id int PRIMARY KEY, path text', 'TRIGGER after_update AFTER UPDATE'],
    ['after_bare', 'id int, path text', 'TRIGGER after_update AFTER UPDATE'],
    ['after_path', 'id int, path text PRIMARY KEY', 'TRIGGER after_update AFTER UPDATE'],
    [
      'at_commit',
      'id int PRIMARY KEY, path text',
      'CONSTRAINT TRIGGER at_commit AFTER UPDATE',
      ' DEFERRABLE INITIALLY DEFERRED',
    ],
    [
      'at_commit_bare',
      'id int, path text',
      'CONSTRAINT TRIGGER at_commit AFTER UPDATE',
      ' DEFERRABLE INITIALLY DEFERRED',
    ],
  ])(
    'refuses what a trigger makes of the value after the update: %s',
    async (table, columns, timing, when = '') => {
      await target.sql(`CREATE TABLE ${table} (${columns}); INSERT INTO ${table} VALUES (1, 'a'), (2, 'b');
      ${lower(timing, table).replace(' FOR EACH ROW', `${when} FOR EACH ROW`)}`);
      const column = await facts(table);
      expect(column.updateTriggers).toHaveLength(1);
      const key = column.primaryKey.map(({ name }) => (name === 'id' ? '1' : 'a'));
      let committing = false;
      const attempt = (newValue: string) =>
        db.rewrite(column, [{ primaryKey: key, oldValue: 'a', newValue }], () => {
          committing = true;
        });
      await expect(attempt('X')).rejects.toMatchObject({
        code: 'DATABASE_FAILED',
        message: expect.stringContaining('stored another value'),
      });
      expect(committing).toBe(false);
      expect((await target.sql(`SELECT path FROM ${table} ORDER BY 1`)).map((row) => row['path'])).toEqual([
        'a',
        'b',
      ]);
      expect(await attempt('x')).toHaveLength(1);
    },
  );

  it('refuses what a trigger of a partition makes of the value', async () => {
    await target.sql(`CREATE TABLE halves (id int, path text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
      CREATE TABLE halves_1 PARTITION OF halves FOR VALUES FROM (0) TO (10); INSERT INTO halves VALUES (1, 'a');
      ${lower('TRIGGER of_part AFTER UPDATE', 'halves_1')}`);
    const column = await facts('halves');
    expect(column.updateTriggers).toEqual(['of_part']);
    const change = { primaryKey: ['1'], oldValue: 'a', newValue: 'X' };
    await expect(db.rewrite(column, [change], ignore)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
  });

  it.each(['BEFORE', 'AFTER'])('refuses what a trigger makes of a document %s the update', async (when) => {
    const before = `NEW.path := jsonb_set(NEW.path, '{b}', '1'); RETURN NEW;`;
    const after = `UPDATE papers SET path = jsonb_set(path, '{b}', '1') WHERE NOT path ? 'b'; RETURN NULL;`;
    await target.sql(`DROP TABLE IF EXISTS papers; CREATE TABLE papers (id int PRIMARY KEY, path jsonb);
      INSERT INTO papers VALUES (1, '{"a": "x"}');
      CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${when === 'BEFORE' ? before : after} END $$;
      CREATE TRIGGER stamp ${when} UPDATE ON papers FOR EACH ROW EXECUTE FUNCTION stamp()`);
    const change = { primaryKey: ['1'], oldValue: '{"a": "x"}', newValue: '{"a":"y"}' };
    const column = await facts('papers');
    await expect(db.rewrite(column, [change], ignore)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
    await target.sql('ALTER TABLE papers DISABLE TRIGGER stamp');
    expect(await db.rewrite(column, [change], ignore)).toEqual([{ ...change, newValue: '{"a": "y"}' }]);
  });

  it.each(['id int PRIMARY KEY, path text, note text', 'id int, path text, note text'])(
    'lets triggers change other columns: %s',
    async (columns) => {
      await target.sql(`DROP TABLE IF EXISTS noted; CREATE TABLE noted (${columns});
        INSERT INTO noted VALUES (1, 'a'), (2, 'a'), (3, 'b');
        CREATE OR REPLACE FUNCTION note_after() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN UPDATE noted SET note = 'n' WHERE id = NEW.id AND note IS NULL; RETURN NULL; END $$;
        CREATE TRIGGER note_after AFTER UPDATE ON noted FOR EACH ROW EXECUTE FUNCTION note_after()`);
      const column = await facts('noted');
      const keyed = column.primaryKey.length > 0;
      const changes = [
        { primaryKey: keyed ? ['1'] : [], oldValue: 'a', newValue: 'x' },
        { primaryKey: keyed ? ['3'] : [], oldValue: 'b', newValue: 'x' },
      ];
      expect(await db.rewrite(column, changes, ignore)).toHaveLength(keyed ? 2 : 3);
    },
  );

  it('refuses a table of which a policy hides rows', async () => {
    const role = `hidden_${target.name.slice(-12)}`;
    await target.sql(`CREATE TABLE tenants (id int PRIMARY KEY, tenant int, path text);
      INSERT INTO tenants VALUES (1, 1, 'p'), (2, 2, 'p'); ANALYZE tenants;
      CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT SELECT, UPDATE ON tenants TO ${role}`);
    const url = new URL(target.url);
    url.username = role;
    url.password = 'pw';
    const ref = { table: 'tenants', column: 'path', within: 'auto' } as const;
    await using as = await openDatabase(parseDatabaseUrl(url.href, {}), { connections: 1 });
    const column = await as.describe(ref);
    await target.sql(
      'ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON tenants USING (tenant = 1)',
    );
    const refusal = {
      code: 'DATABASE_DENIED',
      message: expect.stringContaining('tenants'),
      hint: expect.stringContaining(`ALTER ROLE "${role}" BYPASSRLS`),
    };
    await expect(as.describe(ref)).rejects.toMatchObject(refusal);
    await expect(as.rowsWithValue(column, ['p'])).rejects.toMatchObject(refusal);
    const change = { primaryKey: ['1'], oldValue: 'p', newValue: 'x' };
    await expect(as.rewrite(column, [change], ignore)).rejects.toMatchObject(refusal);
    expect((await db.describe(ref)).canUpdate).toBe(true);
    await target.sql(`ALTER ROLE ${role} BYPASSRLS`);
    expect(await as.rowsWithValue(await as.describe(ref), ['p'])).toHaveLength(2);
    await target.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  it('commits durably where the role does not', async () => {
    await target.sql(`ALTER DATABASE ${target.name} SET synchronous_commit = off;
      CREATE TABLE durable (id int PRIMARY KEY, path text, durable text);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.durable := current_setting(''synchronous_commit''); RETURN NEW; END';
      CREATE TRIGGER note BEFORE UPDATE ON durable FOR EACH ROW EXECUTE FUNCTION note();
      INSERT INTO durable VALUES (1, 'a')`);
    await using fresh = await openDatabase(parseDatabaseUrl(target.url, {}), { connections: 1 });
    await fresh.rewrite(
      await fresh.describe({ table: 'durable', column: 'path', within: 'auto' }),
      [{ primaryKey: ['1'], oldValue: 'a', newValue: 'b' }],
      ignore,
    );
    expect(await target.sql('SELECT durable FROM durable')).toEqual([{ durable: 'on' }]);
    await target.sql(`ALTER DATABASE ${target.name} RESET synchronous_commit`);
  });

  it('reads keys the same whatever the settings of the database', async () => {
    await target.sql(`CREATE TABLE timed (id timestamptz PRIMARY KEY, path text);
      INSERT INTO timed VALUES ('2026-03-04 05:06:07.123456+00', 'p');
      ALTER DATABASE ${target.name} SET DateStyle = 'SQL, DMY'; ALTER DATABASE ${target.name} SET TimeZone = 'Asia/Kolkata'`);
    await using fresh = await openDatabase(parseDatabaseUrl(target.url, {}), { connections: 1 });
    const column = await fresh.describe({ table: 'timed', column: 'path', within: 'auto' });
    expect(await fresh.rowsWithValue(column, ['p'])).toEqual([
      { primaryKey: ['2026-03-04 05:06:07.123456+00'], value: 'p' },
    ]);
    await target.sql(`ALTER DATABASE ${target.name} RESET ALL`);
  });

  it('waits its turn for a connection, and ends a statement that is cancelled', async () => {
    await using one = await openDatabase(parseDatabaseUrl(target.url, {}), { connections: 1 });
    await target.sql("CREATE VIEW slow AS SELECT 'p' || pg_sleep(30)::text AS path");
    const column = await one.describe({ table: 'slow', column: 'path', within: 'auto' });
    const controller = new AbortController();
    const sleeping = one.rowsWithValue(column, ['p'], controller.signal);
    const waiting = one.describe({ table: 'slow', column: 'path', within: 'auto' });
    const asleep = () => target.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    await expect.poll(asleep).toHaveLength(1);
    controller.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    expect((await waiting).kind).toBe('view');
    await expect.poll(asleep).toHaveLength(0);
  });

  it('sees no replica where there is none', async () => {
    expect(await db.replicaLagMs()).toBeUndefined();
  });

  it('comes back when the server was restarted', async () => {
    if (server.restart === undefined) return;
    await target.sql('CREATE TABLE lasting (id int PRIMARY KEY, path text)');
    const column = await facts('lasting');
    const own = new URL(target.url);
    await using fresh = await openDatabase(parseDatabaseUrl(own.href, {}), { connections: 1 });
    await fresh.rowsByKey(column, [['1']]);
    await server.restart();
    const ask = () => fresh.rowsByKey(column, [['1']]).catch((error: { code: string }) => error.code);
    await expect.poll(ask, { timeout: 10_000 }).toEqual([]);
  });
});
