/** What only MySQL and MariaDB have: character sets, keys of bytes, engines without transactions, SQL modes. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type MariadbServer,
  type MariadbTestDatabase,
  mariadbAvailable,
  mariadbServer,
} from '../../../test/servers/mariadb.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import type { ColumnFacts, Database, NamingRow } from '../database.ts';
import { openDatabase } from '../open-database.ts';
import { boundaryText, rewriteText, rowsByKeyText, rowsWithValueText, scanText } from './sql.ts';

describe.skipIf(!mariadbAvailable())('MySQL and MariaDB', () => {
  let server: MariadbServer;
  let target: MariadbTestDatabase;
  let db: Database;
  const ignore = () => {};
  const facts = (table: string, column = 'path') => db.describe({ table, column, within: 'auto' });

  beforeAll(async () => {
    server = await mariadbServer();
    target = await server.createDatabase();
    db = await openDatabase(parseDatabaseUrl(target.url, {}), { connections: 3 });
  });
  afterAll(async () => {
    await db?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  async function walk(column: ColumnFacts, rowsPerRange: number): Promise<NamingRow[]> {
    const rows: NamingRow[] = [];
    for await (const range of db.ranges(column, rowsPerRange)) {
      for await (const batch of db.scan(column, range, { batchRows: 3 })) rows.push(...batch);
    }
    return rows;
  }

  it.each([
    'latin1',
    'cp1250',
    'utf8mb3',
    'utf8mb4 COLLATE utf8mb4_unicode_ci',
    'utf8mb4 COLLATE utf8mb4_bin',
  ])('reads, finds and rewrites values and keys in %s', async (charset) => {
    await target.sql(`DROP TABLE IF EXISTS coded; CREATE TABLE coded (id varchar(20) PRIMARY KEY, path varchar(50), KEY (path)) CHARACTER SET ${charset};
        INSERT INTO coded VALUES ('é', 'image/é.png'), ('b', 'image/E.png'), ('c', 'image/e.png '), ('d', 'image/ß\\\\.png')`);
    const column = await facts('coded');
    expect(column.indexed).toBe(true);
    const rows = await walk(column, 2);
    expect(rows).toHaveLength(4);
    for (const row of rows) expect(await db.rowsWithValue(column, [row.value])).toEqual([row]);
    expect(await db.rowsWithValue(column, ['image/e.png', 'image/😀.png'])).toEqual([]);
    const changes = rows.map(({ primaryKey, value }) => ({
      primaryKey,
      oldValue: value,
      newValue: `ü${value}`,
    }));
    expect(await db.rewrite(column, changes, ignore)).toEqual(changes);
    expect((await walk(column, 9)).map((row) => row.value)).toEqual(rows.map((row) => `ü${row.value}`));
  });

  it('does not put a question mark for what a character set lacks', async () => {
    await target.sql(
      "CREATE TABLE narrow (id int PRIMARY KEY, path varchar(50)) CHARACTER SET latin1; INSERT INTO narrow VALUES (1, 'a')",
    );
    const change = { primaryKey: ['1'], oldValue: 'a', newValue: '😀' };
    await expect(db.rewrite(await facts('narrow'), [change], ignore)).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
    });
    expect(await target.sql('SELECT path FROM narrow')).toEqual([{ path: 'a' }]);
  });

  it.each([
    ['bytes', 'binary(4)', ["x'00010203'", "x'ff5c2700'", "x'27272727'"]],
    ['enumerations', "enum('z', 'm', 'a')", ["'z'", "'m'", "'a'"]],
    ['unsigned numbers over 2^63', 'bigint unsigned', ['18446744073709551615', '9223372036854775809', '1']],
    ['bits', 'bit(40)', ["b'1'", "b'1000000000000000000000000000000001'", "b'0'"]],
    [
      'times',
      'datetime(6)',
      ["'2026-01-02 03:04:05.000001'", "'2026-01-02 03:04:05.000002'", "'1999-01-01'"],
    ],
    ['years', 'year', ['1999', '2026', '1970']],
  ])('walks and rewrites by keys of %s', async (_, type, keys) => {
    await target.sql(`DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (id ${type} PRIMARY KEY, path varchar(50));
      INSERT INTO keyed VALUES ${keys.map((key, index) => `(${key}, 'p${index}')`).join(', ')}`);
    const column = await facts('keyed');
    const rows = await walk(column, 1);
    expect(rows.map((row) => row.value).sort()).toEqual(['p0', 'p1', 'p2']);
    const changes = rows.map(({ primaryKey, value }) => ({
      primaryKey,
      oldValue: value,
      newValue: `new ${value}`,
    }));
    expect(await db.rewrite(column, changes, ignore)).toHaveLength(3);
    expect(
      await db.rowsByKey(
        column,
        rows.map((row) => row.primaryKey),
      ),
    ).toHaveLength(3);
    expect((await walk(column, 1)).map((row) => row.value).sort()).toEqual(['new p0', 'new p1', 'new p2']);
  });

  it('tells tables that cannot roll back, partitions and invisible triggers', async () => {
    await target.sql(`CREATE TABLE flat (id int PRIMARY KEY, path text) ENGINE = MyISAM;
      CREATE TABLE parted (id int PRIMARY KEY, path text) PARTITION BY HASH (id) PARTITIONS 3`);
    expect((await facts('flat')).kind).toBe('other');
    expect((await facts('parted')).kind).toBe('partitioned');
  });

  it('takes json for a document, and documents as they are', async () => {
    await target.sql(
      `CREATE TABLE documents (id int PRIMARY KEY, path json); INSERT INTO documents VALUES (1, '{"a": "x\\\\/y"}')`,
    );
    const column = await facts('documents');
    expect(column.within).toBe('json');
    const [row] = await walk(column, 10);
    const change = { primaryKey: ['1'], oldValue: row!.value, newValue: row!.value.replace('x', 'z') };
    expect(await db.rewrite(column, [change], ignore)).toEqual([change]);
  });

  it('refuses what a trigger makes of the value', async () => {
    await target.sql(`CREATE TABLE shouting (id int PRIMARY KEY, path varchar(20)); INSERT INTO shouting VALUES (1, 'a');
      CREATE TRIGGER shout BEFORE UPDATE ON shouting FOR EACH ROW SET NEW.path = UPPER(NEW.path)`);
    const change = { primaryKey: ['1'], oldValue: 'a', newValue: 'x' };
    await expect(db.rewrite(await facts('shouting'), [change], ignore)).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
    });
    expect(await target.sql('SELECT path FROM shouting')).toEqual([{ path: 'a' }]);
  });

  it.each(['id int PRIMARY KEY, path varchar(20)', 'id int, path varchar(20)'])(
    'refuses what a trigger makes of the value that the user may not see: %s',
    async (columns) => {
      await target.sql(`DROP TABLE IF EXISTS unseen; CREATE TABLE unseen (${columns});
        INSERT INTO unseen VALUES (1, 'a'), (2, 'b');
        CREATE TRIGGER mark BEFORE UPDATE ON unseen FOR EACH ROW SET NEW.path = IF(NEW.path = 'keep', 'keep', CONCAT(NEW.path, '?'))`);
      // MySQL shows triggers only to who may make them.
      const column = { ...(await facts('unseen')), updateTriggers: [] };
      const primaryKey = column.primaryKey.length === 0 ? [] : ['1'];
      let committing = false;
      const attempt = (newValue: string) =>
        db.rewrite(column, [{ primaryKey, oldValue: 'a', newValue }], () => {
          committing = true;
        });
      await expect(attempt('x')).rejects.toMatchObject({
        code: 'DATABASE_FAILED',
        message: expect.stringContaining('stored another value'),
      });
      expect(committing).toBe(false);
      expect(await target.sql('SELECT path FROM unseen ORDER BY id')).toEqual([{ path: 'a' }, { path: 'b' }]);
      expect(await attempt('keep')).toHaveLength(1);
    },
  );

  it('counts rows without a key that two old values were changed to one new value', async () => {
    await target.sql(
      "CREATE TABLE merged (path varchar(20), place int); INSERT INTO merged VALUES ('a', 1), ('a', 2), ('b', 3), ('c', 4)",
    );
    const change = (oldValue: string, newValue: string) => ({ primaryKey: [], oldValue, newValue });
    const changes = [change('a', 'x'), change('b', 'x'), change('c', "it's \\")];
    expect(await db.rewrite(await facts('merged'), changes, ignore)).toHaveLength(4);
  });

  it('is the same under any sql_mode of the server', async () => {
    const [before] = await target.sql('SELECT @@GLOBAL.sql_mode AS mode');
    await target.sql(
      "SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH'",
    );
    try {
      await using other = await openDatabase(parseDatabaseUrl(target.url, {}), { connections: 1 });
      await target.sql('CREATE TABLE modes (id int PRIMARY KEY, path char(30))');
      const column = await other.describe({ table: 'modes', column: 'path', within: 'auto' });
      await target.sql("INSERT INTO modes VALUES (1, 'a''b')");
      const next = 'c\\d"e\'f';
      expect(
        await other.rewrite(column, [{ primaryKey: ['1'], oldValue: "a'b", newValue: next }], ignore),
      ).toHaveLength(1);
      expect(await other.rowsWithValue(column, [next])).toHaveLength(1);
    } finally {
      await target.sql(`SET GLOBAL sql_mode = '${before!.mode}'`);
    }
  });

  it('rewrites more than fits a statement', async () => {
    await target.sql(
      'CREATE TABLE prose (id int PRIMARY KEY, path mediumtext, bare int); CREATE TABLE loose (path mediumtext)',
    );
    const long = 'long '.repeat(60_000);
    for (const id of [1, 2, 3, 4, 5]) {
      await target.sql(
        `INSERT INTO prose VALUES (${id}, '${long}${id % 2}', 0); INSERT INTO loose VALUES ('${long}${id % 2}')`,
      );
    }
    const prose = await facts('prose');
    const changes = ['1', '2', '3', '4', '5'].map((id) => ({
      primaryKey: [id],
      oldValue: `${long}${Number(id) % 2}`,
      newValue: `new${id}${long}`,
    }));
    expect(await db.rewrite(prose, changes, ignore)).toHaveLength(5);
    expect(await target.sql('SELECT LEFT(path, 4) AS start FROM prose ORDER BY id')).toEqual(
      [1, 2, 3, 4, 5].map((id) => ({ start: `new${id}` })),
    );
    const byValue = changes.map((change) => ({ ...change, primaryKey: [], newValue: `n${change.oldValue}` }));
    expect(await db.rewrite(await facts('loose'), byValue, ignore)).toHaveLength(5);
  });

  it('answers from the indexes', async () => {
    await target.sql(`
      CREATE TABLE big (a int, b varchar(20) CHARACTER SET latin1, path varchar(50) CHARACTER SET latin1, PRIMARY KEY (a, b), KEY (path));
      INSERT INTO big SELECT seq % 3, CONCAT('k', seq), CONCAT('image/', seq) FROM seq_1_to_30000; ANALYZE TABLE big`);
    const column = await facts('big');
    const keys = [
      ['1', 'k1'],
      ['2', 'k2'],
    ];
    const rewrite = keys.map((key) => ({ key, oldValue: `image/${key[0]}`, newValue: 'x' }));
    const texts = {
      scan: scanText(column, { after: ['1', 'k2'], upTo: ['1', 'k21'] }, ['x'], 100),
      boundary: boundaryText(column, ['1', 'k9'], 100),
      byKey: rowsByKeyText(column, keys),
      byValue: rowsWithValueText(column, ['image/1', 'image/2']),
      rewrite: rewriteText(column, rewrite),
    };
    for (const [name, text] of Object.entries(texts)) {
      const [plan] = await target.sql(`EXPLAIN ${text}`);
      expect(plan, name).toMatchObject({ type: 'range' });
    }
    // Both columns of the key bound the walk: it does not start again at the first row with the same `a`.
    expect((await target.sql(`EXPLAIN ${texts.boundary}`))[0]).toMatchObject({
      key: 'PRIMARY',
      key_len: '26',
    });
  });

  it('ends a statement that is cancelled', async () => {
    await target.sql(
      "CREATE TABLE one (path varchar(20)); INSERT INTO one VALUES ('p'); CREATE VIEW slow AS SELECT CONCAT(path, SLEEP(30)) AS path FROM one",
    );
    const controller = new AbortController();
    const sleeping = db.rowsWithValue(await facts('slow'), ['p'], controller.signal);
    const asleep = () =>
      target.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'");
    await expect.poll(asleep).toHaveLength(1);
    controller.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    await expect.poll(asleep).toHaveLength(0);
  });
});
