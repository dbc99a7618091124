/** What every database must do: the suite that each implementation runs against a real server. */

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CutProxy, startCutProxy } from '../../test/servers/cut-proxy.ts';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { isRetryable } from '../errors.ts';
import type { ColumnFacts, ColumnRef, Database, KeyRange, NamingRow, RowChange } from './database.ts';
import { openDatabase } from './open-database.ts';

/** How a dialect spells what the suite needs. */
export interface ContractDialect {
  readonly text: string;
  /** Holds texts of 1 MB. */
  readonly longText: string;
  readonly json: string;
  /** A text type whose equality ignores case. */
  readonly caseless: string;
  readonly uuid: string;
  /** `path` filled by the database from `id`. */
  readonly generated: string;
  quote(name: string): string;
  createRole(role: string, password: string): string;
  grantColumns(select: readonly string[], update: readonly string[], table: string, role: string): string;
  dropRole(role: string): string;
  /** Makes a trigger of that name that lets `path` be updated. */
  createTrigger(name: string, table: string): string;
  /** How many sessions of the server wait for a lock, as `waiting`. */
  readonly waiting: string;
  /** Ends every connection to the test's database but the one that asks. */
  killOthers(database: string): string;
}

export interface ContractServer {
  readonly url: string;
  readonly name: string;
  sql(text: string): Promise<Record<string, unknown>[]>;
  /** A connection of its own, for a transaction that stays open. */
  session(): Promise<{ sql(text: string): Promise<unknown> } & AsyncDisposable>;
}

/** Every kind of value that a careless comparison takes for another, or for a pattern. */
const VALUES = [
  'image/a.png',
  'image/A.png',
  'image/100%.png',
  'image/100x.png',
  'image/a_b.png',
  'image/axb.png',
  "image/it's.png",
  'image/"quoted".png',
  'image/back\\slash.png',
  'image/back\\\\slash.png',
  'image/new\nline.png',
  'image/😀.png',
  'image/é.png',
  'image/e\u0301.png',
  'image/ａ.png',
  'image/trail ',
  'image/trail',
  '',
];

async function within5s<T>(promise: PromiseLike<T>): Promise<T> {
  const late = AbortSignal.timeout(5000);
  return Promise.race([
    promise,
    new Promise<never>((_, reject) => late.addEventListener('abort', () => reject(late.reason))),
  ]);
}

export function describeDatabase(
  title: string,
  dialect: ContractDialect,
  server: () => Promise<ContractServer>,
): void {
  describe(title, () => {
    let target: ContractServer;
    let db: Database;
    let proxy: CutProxy;
    let tables = 0;

    const sql = (text: string) => target.sql(text);
    const open = (change: (url: URL) => void = () => {}, connections = 4): Promise<Database> => {
      const url = new URL(target.url);
      change(url);
      return openDatabase(parseDatabaseUrl(url.href, {}), { connections });
    };
    const text = (value: string) =>
      `'${value.replaceAll('\\', db.dialect === 'mysql' ? '\\\\' : '\\').replaceAll("'", "''")}'`;
    const ref = (table: string, column = 'path'): ColumnRef => ({ table, column, within: 'auto' });

    /** A table with a key and a path; the rows as [key columns…, path]. */
    async function table(definition: string, rows: readonly (readonly string[])[] = []): Promise<string> {
      const name = `t${++tables}`;
      await sql(`CREATE TABLE ${name} (${definition})`);
      for (let at = 0; at < rows.length; at += 500) {
        const tuples = rows.slice(at, at + 500).map((row) => `(${row.map(text).join(', ')})`);
        await sql(`INSERT INTO ${name} VALUES ${tuples.join(', ')}`);
      }
      return name;
    }

    async function facts(name: string, column = 'path'): Promise<ColumnFacts> {
      return db.describe(ref(name, column));
    }

    async function collect(
      column: ColumnFacts,
      range: KeyRange,
      needles?: readonly string[],
    ): Promise<NamingRow[]> {
      const rows: NamingRow[] = [];
      for await (const batch of db.scan(column, range, { batchRows: 7, ...(needles && { needles }) })) {
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(7);
        rows.push(...batch);
      }
      return rows;
    }

    async function walk(
      column: ColumnFacts,
      rowsPerRange: number,
    ): Promise<{ ranges: KeyRange[]; rows: NamingRow[] }> {
      const ranges: KeyRange[] = [];
      const rows: NamingRow[] = [];
      for await (const range of db.ranges(column, rowsPerRange)) {
        ranges.push(JSON.parse(JSON.stringify(range)));
      }
      for (const range of ranges) rows.push(...(await collect(column, range)));
      return { ranges, rows };
    }

    async function values(name: string, order = 'id'): Promise<string[]> {
      const rows = await sql(`SELECT path AS path FROM ${name} ORDER BY ${order}`);
      return rows.map((row) => row.path as string);
    }

    const numbered = (count: number, value = (id: number) => `image/${id}.png`) =>
      Array.from({ length: count }, (_, index) => [String(index + 1), value(index + 1)]);
    const change = (primaryKey: readonly string[], oldValue: string, newValue: string): RowChange => ({
      primaryKey,
      oldValue,
      newValue,
    });
    const ignore = () => {};

    beforeAll(async () => {
      target = await server();
      db = await open();
      proxy = await startCutProxy(Number(new URL(target.url).port));
    });
    afterAll(async () => {
      await db?.[Symbol.asyncDispose]();
      await proxy?.[Symbol.asyncDispose]();
    });

    describe('describe', () => {
      it('tells the key, the type, the index, the length and the rights', async () => {
        const name = await table(`id bigint PRIMARY KEY, path varchar(120), note ${dialect.text}`, []);
        await sql(`CREATE INDEX ${name}_path ON ${name} (path)`);
        const column = await facts(name);
        expect(column).toMatchObject({
          kind: 'table',
          within: 'value',
          indexed: true,
          generated: false,
          updateTriggers: [],
          lengthMax: 120,
          canSelect: true,
          canUpdate: true,
        });
        expect(column.primaryKey.map((key) => key.name)).toEqual(['id']);
        expect(column.name).toMatch(new RegExp(`^\\w+\\.${name}\\.path$`));
        expect((await facts(name, 'note')).indexed).toBe(false);
        expect(JSON.parse(JSON.stringify(column))).toEqual(column);
      });

      it('takes a unique index over columns that are never null where there is no primary key', async () => {
        const name = await table(
          'a int NOT NULL, b varchar(20) NOT NULL, c int, path varchar(50), UNIQUE (c), UNIQUE (b, a)',
        );
        expect((await facts(name)).primaryKey.map((key) => key.name)).toEqual(['b', 'a']);
        expect((await facts(await table('id int, path varchar(50)'))).primaryKey).toEqual([]);
      });

      it('knows documents, views, generated columns and triggers', async () => {
        const name = await table(`id int PRIMARY KEY, path ${dialect.json}`);
        expect((await facts(name)).within).toBe('json');
        expect((await db.describe({ ...ref(name), within: 'text' })).within).toBe('text');
        await sql(`CREATE VIEW v_${name} AS SELECT id, path FROM ${name}`);
        expect((await facts(`v_${name}`)).kind).toBe('view');
        expect((await facts(await table(`id int PRIMARY KEY, ${dialect.generated}`))).generated).toBe(true);
        const triggered = await table('id int PRIMARY KEY, path varchar(50)');
        await sql(dialect.createTrigger('touch_path', triggered));
        expect((await facts(triggered)).updateTriggers).toEqual(['touch_path']);
      });

      it('estimates the rows', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(700));
        await sql(db.dialect === 'mysql' ? `ANALYZE TABLE ${name}` : `ANALYZE ${name}`);
        expect((await facts(name)).rowsEstimate).toBeGreaterThan(500);
        expect((await facts(name)).rowsEstimate).toBeLessThan(1000);
      });

      it('names what comes close to an unknown table or column', async () => {
        await sql('CREATE TABLE avatars (id int PRIMARY KEY, image_path varchar(50))');
        await expect(db.describe(ref('avatar'))).rejects.toMatchObject({
          code: 'TABLE_NOT_FOUND',
          hint: expect.stringContaining('avatars'),
        });
        await expect(db.describe({ schema: 'nowhere', ...ref('avatars') })).rejects.toMatchObject({
          code: 'TABLE_NOT_FOUND',
        });
        await expect(db.describe(ref('avatars', 'imagepath'))).rejects.toMatchObject({
          code: 'COLUMN_NOT_FOUND',
          hint: expect.stringContaining('image_path'),
        });
      });

      it('keeps names with capitals, dots and quotes', async () => {
        const name = 'We"ird. `T`able';
        await sql(
          `CREATE TABLE ${dialect.quote(name)} (${dialect.quote('I d')} int PRIMARY KEY, ${dialect.quote('Pa"th')} varchar(50))`,
        );
        await sql(`INSERT INTO ${dialect.quote(name)} VALUES (1, 'a')`);
        const column = await db.describe({ table: name, column: 'Pa"th', within: 'auto' });
        expect(await collect(column, {})).toEqual([{ primaryKey: ['1'], value: 'a' }]);
        expect(await db.rewrite(column, [change(['1'], 'a', 'b')], ignore)).toHaveLength(1);
      });
    });

    describe('ranges and scan', () => {
      it.each([
        ['sparse numbers', 'id int', (n: number) => [String(n * n - 40)]],
        ['numbers over 2^53', 'id bigint', (n: number) => [String(9007199254740990n + BigInt(n))]],
        [
          'texts',
          'id varchar(40)',
          (n: number) => [`${['a', 'B', 'é', "'", '%', 'Z', '_', '\\'][n % 8]}${n}`],
        ],
        ['uuids', `id ${dialect.uuid}`, () => [randomUUID()]],
        ['decimals', 'id decimal(20, 4)', (n: number) => [`${n}.0500`]],
        ['dates', 'id date', (n: number) => [new Date(n * 86_400_000).toISOString().slice(0, 10)]],
      ])('hold every row exactly once: %s', async (_, type, key) => {
        const rows = Array.from({ length: 103 }, (_, index) => [...key(index), `image/${index}.png`]);
        const column = await facts(await table(`${type} PRIMARY KEY, path varchar(50)`, rows));
        const found = await walk(column, 10);
        expect(found.ranges).toHaveLength(11);
        expect(found.ranges.at(-1)!.upTo).toBeUndefined();
        expect(found.rows.map((row) => [...row.primaryKey, row.value]).sort()).toEqual(rows.toSorted());
      });

      it('hold every row exactly once: keys of three columns', async () => {
        const rows = Array.from({ length: 120 }, (_, n) => [
          String(n % 4),
          `k${n % 10}`,
          String(n),
          `image/${n}.png`,
        ]);
        const name = await table(
          'a int, b varchar(20), c bigint, path varchar(50), PRIMARY KEY (a, b, c)',
          rows,
        );
        const found = await walk(await facts(name), 11);
        expect(found.ranges).toHaveLength(11);
        expect(found.rows.map((row) => [...row.primaryKey, row.value]).sort()).toEqual(rows.toSorted());
      });

      it('hold every row exactly once: no key, and none at all', async () => {
        const rows = numbered(2000);
        const column = await facts(await table('id int, path varchar(50)', rows));
        const found = await walk(column, 100);
        expect(found.rows.every((row) => row.primaryKey.length === 0)).toBe(true);
        expect(found.rows.map((row) => row.value).sort()).toEqual(rows.map((row) => row[1]).sort());
        const empty = await walk(await facts(await table('id int PRIMARY KEY, path varchar(50)')), 10);
        expect(empty).toEqual({ ranges: [{}], rows: [] });
      });

      it('leaves out rows without a value, and holds values as they are', async () => {
        const name = await table(
          'id int PRIMARY KEY, path varchar(100)',
          VALUES.map((value, id) => [String(id), value]),
        );
        await sql(`INSERT INTO ${name} VALUES (1000, NULL)`);
        expect((await collect(await facts(name), {})).map((row) => row.value)).toEqual(VALUES);
      });

      it('finds needles byte for byte', async () => {
        const name = await table(
          `id int PRIMARY KEY, path ${dialect.caseless}`,
          VALUES.map((value, id) => [String(id), value]),
        );
        const column = await facts(name);
        for (const needle of VALUES.filter((value) => value !== '')) {
          const found = await collect(column, {}, [needle]);
          expect(found.map((row) => row.value)).toEqual(VALUES.filter((value) => value.includes(needle)));
        }
        const several = await collect(column, {}, ['%', '_', '\\', "'"]);
        expect(several.map((row) => row.value)).toEqual(VALUES.filter((value) => /[%_\\']/.test(value)));
        expect(await collect(column, {}, [])).toEqual([]);
      });

      it.each(['id int PRIMARY KEY', 'id int'])('reads few large rows at once: %s', async (key) => {
        const name = await table(`${key}, path ${dialect.longText}`, numbered(40));
        await sql(`UPDATE ${name} SET path = REPEAT('x', 1000000)`);
        const sizes: number[] = [];
        for await (const batch of db.scan(await facts(name), {}, { batchRows: 1000 }))
          sizes.push(batch.length);
        expect(Math.max(...sizes)).toBeLessThanOrEqual(16);
        expect(sizes.slice(1, -1).every((size) => size >= 8 && size <= 9)).toBe(true);
        expect(sizes.reduce((sum, size) => sum + size)).toBe(40);
      });

      it('reads many small rows at once', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(2500));
        const sizes: number[] = [];
        for await (const batch of db.scan(await facts(name), {}, { batchRows: 1000 }))
          sizes.push(batch.length);
        expect(sizes).toEqual([16, 128, 1000, 1000, 356]);
      });

      it('can be left early, with and without a key', async () => {
        for (const key of ['id int PRIMARY KEY', 'id int']) {
          const column = await facts(await table(`${key}, path varchar(50)`, numbered(500)));
          for (let round = 0; round < 6; round++) {
            for await (const batch of db.scan(column, {}, { batchRows: 5 })) {
              expect(batch).toHaveLength(5);
              break;
            }
          }
        }
      });

      it('stops when cancelled', async () => {
        const column = await facts(await table('id int, path varchar(50)', numbered(500)));
        const controller = new AbortController();
        const reading = (async () => {
          for await (const _ of db.scan(column, {}, { batchRows: 5 }, controller.signal))
            controller.abort(new Error('enough'));
        })();
        await expect(reading).rejects.toThrow('enough');
        expect(await collect(column, {})).toHaveLength(500);
      });
    });

    describe('rowsWithValue and rowsByKey', () => {
      it.each([true, false])('find rows byte for byte; indexed: %s', async (indexed) => {
        const name = await table(
          `id int PRIMARY KEY, path ${dialect.caseless}`,
          VALUES.map((value, id) => [String(id), value]),
        );
        if (indexed) await sql(`CREATE INDEX ${name}_path ON ${name} (path)`);
        const column = await facts(name);
        expect(column.indexed).toBe(indexed);
        for (const [id, value] of VALUES.entries()) {
          expect(await db.rowsWithValue(column, [value])).toEqual([{ primaryKey: [String(id)], value }]);
        }
        expect(await db.rowsWithValue(column, [...VALUES, 'IMAGE/A.PNG', 'no\0such'])).toHaveLength(
          VALUES.length,
        );
        expect(await db.rowsWithValue(column, [])).toEqual([]);
      });

      it('find several rows with one value, and the rows that still exist', async () => {
        const name = await table('a int, b varchar(20), path varchar(50), PRIMARY KEY (a, b)', [
          ['1', "x'", 'p'],
          ['2', 'y\\', 'p'],
          ['3', 'z', 'q'],
        ]);
        const column = await facts(name);
        expect(await db.rowsWithValue(column, ['p'])).toHaveLength(2);
        const found = await db.rowsByKey(column, [
          ['2', 'y\\'],
          ['3', 'z'],
          ['4', 'z'],
        ]);
        expect(found.toSorted((left, right) => (left.value < right.value ? -1 : 1))).toEqual([
          { primaryKey: ['2', 'y\\'], value: 'p' },
          { primaryKey: ['3', 'z'], value: 'q' },
        ]);
      });
    });

    describe('rewrite', () => {
      it('changes values of every kind, guarded by the old one', async () => {
        const name = await table(
          `id int PRIMARY KEY, path ${dialect.caseless}`,
          VALUES.map((value, id) => [String(id), value]),
        );
        const column = await facts(name);
        const changes = VALUES.map((value, id) => change([String(id)], value, `avatar/\\'"%😀${value}`));
        const seen: RowChange[][] = [];
        const changed = await db.rewrite(column, changes, (rows) => seen.push([...rows]));
        expect(changed).toHaveLength(VALUES.length);
        expect(seen).toEqual([changed]);
        expect(await values(name)).toEqual(VALUES.map((value) => `avatar/\\'"%😀${value}`));
        expect(await db.rewrite(column, changes, ignore)).toEqual([]);
      });

      it('leaves rows alone whose value differs by case, accent, width, blanks, or that are gone', async () => {
        const name = await table(`id int PRIMARY KEY, path ${dialect.caseless}`, [
          ['1', 'image/A.png'],
          ['2', 'image/trail '],
          ['3', 'image/é.png'],
          ['4', 'image/ok.png'],
        ]);
        const changes = [
          change(['1'], 'image/a.png', 'x1'),
          change(['2'], 'image/trail', 'x2'),
          change(['3'], 'image/e\u0301.png', 'x3'),
          change(['4'], 'image/ok.png', 'x4'),
          change(['5'], 'image/gone.png', 'x5'),
        ];
        const column = await facts(name);
        expect(await db.rewrite(column, changes, ignore)).toEqual([changes[3]]);
        expect(await values(name)).toEqual(['image/A.png', 'image/trail ', 'image/é.png', 'x4']);
        await sql(`CREATE INDEX ${name}_path ON ${name} (path)`);
        const byValue = changes.map((one) => ({ ...one, primaryKey: [] }));
        expect(await db.rewrite(await facts(name), byValue, ignore)).toEqual([]);
      });

      it('changes nothing when beforeCommit throws, and throws the same', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(3));
        const column = await facts(name);
        const refusal = new RangeError('the journal is full');
        const attempt = db.rewrite(column, [change(['1'], 'image/1.png', 'x')], () => {
          throw refusal;
        });
        await expect(attempt).rejects.toBe(refusal);
        expect((await values(name))[0]).toBe('image/1.png');
        expect(await db.rewrite(column, [change(['1'], 'image/1.png', 'x')], ignore)).toHaveLength(1);
      });

      it('finds rows by value where no key is given, and answers their keys', async () => {
        const rows = [
          ['1', 'p'],
          ['2', 'p'],
          ['3', 'P'],
          ['4', 'q'],
        ];
        const name = await table(`id bigint PRIMARY KEY, path ${dialect.caseless}`, rows);
        await sql(`CREATE INDEX ${name}_path ON ${name} (path)`);
        const changed = await db.rewrite(await facts(name), [change([], 'p', 'new')], ignore);
        expect(
          changed.toSorted((left, right) => (left.primaryKey[0]! < right.primaryKey[0]! ? -1 : 1)),
        ).toEqual([change(['1'], 'p', 'new'), change(['2'], 'p', 'new')]);
        expect(await values(name)).toEqual(['new', 'new', 'P', 'q']);
      });

      it('changes every row with the value where the table has no key', async () => {
        const name = await table('id int, path varchar(50)', [
          ['1', 'p'],
          ['2', 'p'],
          ['3', 'q'],
          ['4', 'r'],
        ]);
        const changes = [change([], 'p', 'new'), change([], 'q', 'other'), change([], 's', 'none')];
        const changed = await db.rewrite(await facts(name), changes, ignore);
        expect(changed).toHaveLength(3);
        expect(changed.every((row) => row.primaryKey.length === 0)).toBe(true);
        expect(await values(name)).toEqual(['new', 'new', 'other', 'r']);
      });

      it('applies the first of two changes of one row', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(2));
        const first = change(['1'], 'image/1.png', 'first');
        const second = change(['1'], 'image/1.png', 'second');
        expect(await db.rewrite(await facts(name), [first, second], ignore)).toEqual([first]);
        expect((await values(name))[0]).toBe('first');
      });

      it('gives two rows with one old value their own new values', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', [
          ['1', 'p'],
          ['2', 'p'],
          ['3', 'p'],
        ]);
        const changes = ['1', '2', '3'].map((id) => change([id], 'p', `new${id}`));
        expect(await db.rewrite(await facts(name), changes, ignore)).toHaveLength(3);
        expect(await values(name)).toEqual(['new1', 'new2', 'new3']);
      });

      it('rewrites a column that is part of the key, and back by the same key', async () => {
        const name = await table('id int, path varchar(50), PRIMARY KEY (id, path)', numbered(3));
        const column = await facts(name);
        const forth = change(['2', 'image/2.png'], 'image/2.png', 'x');
        expect(await db.rewrite(column, [forth], ignore)).toEqual([forth]);
        const back = change(['2', 'image/2.png'], 'x', 'image/2.png');
        expect(await db.rewrite(column, [back], ignore)).toEqual([back]);
        expect(await values(name)).toEqual(['image/1.png', 'image/2.png', 'image/3.png']);
      });

      it('handles keys over 2^53, keys of text and keys of several columns', async () => {
        const big = await table('id bigint PRIMARY KEY, path varchar(50)', [
          ['9007199254740992', 'p'],
          ['9007199254740993', 'p'],
        ]);
        expect(
          await db.rewrite(await facts(big), [change(['9007199254740993'], 'p', 'x')], ignore),
        ).toHaveLength(1);
        expect(await values(big)).toEqual(['p', 'x']);
        const several = await table('a int, id varchar(20), path varchar(50), PRIMARY KEY (a, id)', [
          ['1', "x'", 'p'],
          ['1', 'y\\', 'p'],
          ['2', "x'", 'p'],
        ]);
        expect(await db.rewrite(await facts(several), [change(['1', 'y\\'], 'p', 'x')], ignore)).toHaveLength(
          1,
        );
        expect(await values(several, 'a, id')).toEqual(['p', 'x', 'p']);
      });

      it('rewrites documents', async () => {
        const name = await table(`id int PRIMARY KEY, path ${dialect.json}`, [['1', '{"a": "image/1.png"}']]);
        const column = await facts(name);
        const [row] = await collect(column, {}, ['image/1.png']);
        const next = row!.value.replace('image/', 'avatar/');
        expect(await db.rewrite(column, [change(row!.primaryKey, row!.value, next)], ignore)).toHaveLength(1);
        expect((await collect(column, {}))[0]!.value).toBe(next);
      });

      it('refuses a value that is too long, and does not cut it', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(5)', [['1', 'short']]);
        const attempt = db.rewrite(await facts(name), [change(['1'], 'short', 'longer')], ignore);
        await expect(attempt).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
        expect(await values(name)).toEqual(['short']);
      });

      it('names a broken constraint without a value in the message', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50) UNIQUE', numbered(2));
        const attempt = db.rewrite(await facts(name), [change(['1'], 'image/1.png', 'image/2.png')], ignore);
        const error = await attempt.catch((thrown: unknown) => thrown as Error);
        expect(error).toMatchObject({ code: 'DATABASE_FAILED', message: expect.stringContaining('path') });
        expect(`${(error as Error).message}${JSON.stringify(error)}`).not.toContain('image/2.png');
      });

      it('does 5,000 rows', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(5000));
        const changes = numbered(5000).map(([id, path]) => change([id!], path!, `avatar/${id}.png`));
        expect(await db.rewrite(await facts(name), changes, ignore)).toHaveLength(5000);
        expect((await values(name))[4999]).toBe('avatar/5000.png');
      });
    });

    describe('beside others', () => {
      it('leaves a row alone that another session changes meanwhile', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(3));
        const column = await facts(name);
        let rewriting: Promise<RowChange[]> | undefined;
        const other = await open();
        // The other's transaction is open while ours starts; ours waits for its row lock.
        await other.rewrite(column, [change(['2'], 'image/2.png', 'theirs')], () => {
          rewriting = db.rewrite(
            column,
            numbered(3).map(([id, path]) => change([id!], path!, `ours${id}`)),
            ignore,
          );
        });
        expect((await rewriting!).map((row) => row.primaryKey[0])).toEqual(['1', '3']);
        expect(await values(name)).toEqual(['ours1', 'theirs', 'ours3']);
        await other[Symbol.asyncDispose]();
      });

      it('changes each row once when several rewrite the same rows in different order', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(300));
        const column = await facts(name);
        const one = (order: number, tag: string) =>
          numbered(300)
            .map(([id, path]) => change([id!], path!, `${tag}/${id}`))
            .toSorted((left, right) => order * (Number(left.primaryKey[0]) - Number(right.primaryKey[0])));
        const results = await Promise.all([
          db.rewrite(column, one(1, 'a'), ignore),
          db.rewrite(column, one(-1, 'b'), ignore),
          db.rewrite(column, one(1, 'c'), ignore),
        ]);
        expect(results.flat()).toHaveLength(300);
        const now = await values(name);
        for (const row of results.flat()) expect(now[Number(row.primaryKey[0]) - 1]).toBe(row.newValue);
      });

      const waiting = async () => Number((await sql(dialect.waiting))[0]!.waiting);

      it('takes a lock that is held for long for a conflict, and leaves nothing half done', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(2));
        await using session = await target.session();
        await session.sql('BEGIN');
        await session.sql(`UPDATE ${name} SET path = 'held' WHERE id = 2`);
        const all = numbered(2).map(([id, path]) => change([id!], path!, 'x'));
        const column = await facts(name);
        const startedMs = performance.now();
        const error = await db.rewrite(column, all, ignore).catch((thrown: unknown) => thrown);
        expect(performance.now() - startedMs).toBeLessThan(3500);
        expect(error).toMatchObject({ code: 'DATABASE_CONFLICT', context: { lockTimeout: true } });
        expect(isRetryable(error)).toBe(true);
        await session.sql('ROLLBACK');
        expect(await values(name)).toEqual(['image/1.png', 'image/2.png']);
        expect(await db.rewrite(await facts(name), all, ignore)).toHaveLength(2);
      });

      it('takes a deadlock for a conflict', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(20));
        await using session = await target.session();
        await session.sql('BEGIN');
        await session.sql(`UPDATE ${name} SET path = 'theirs' WHERE id > 1`);
        const column = await facts(name);
        const all = numbered(2).map(([id, path]) => change([id!], path!, 'x'));
        const rewriting = db.rewrite(column, all, ignore).catch((thrown: unknown) => thrown);
        // The server of MySQL renews this count at most ten times a second, and not while it is read more often.
        await expect.poll(waiting, { interval: 250, timeout: 4000 }).toBe(1);
        await session.sql(`UPDATE ${name} SET path = 'theirs' WHERE id = 1`);
        expect(await rewriting).toMatchObject({ code: 'DATABASE_CONFLICT' });
        await session.sql('COMMIT');
        expect(new Set(await values(name))).toEqual(new Set(['theirs']));
      });

      it('works with SELECT and UPDATE on the columns and nothing else, and says what lacks', async () => {
        const name = await table(`id int PRIMARY KEY, path varchar(50), secret ${dialect.text}`);
        await sql(`INSERT INTO ${name} VALUES (1, 'image/1.png', 'x'), (2, 'image/2.png', 'y')`);
        const role = `longshore_${target.name.slice(-24)}_r`;
        await sql(dialect.createRole(role, 'pw'));
        try {
          await sql(dialect.grantColumns(['id', 'path'], ['path'], name, role));
          const as = await open((url) => {
            url.username = role;
            url.password = 'pw';
          });
          const column = await as.describe(ref(name));
          expect(column).toMatchObject({ canSelect: true, canUpdate: true });
          expect(column.primaryKey.map((key) => key.name)).toEqual(['id']);
          const ranges: KeyRange[] = [];
          for await (const range of as.ranges(column, 1)) ranges.push(range);
          expect(ranges).toHaveLength(3);
          expect(await as.sample(column, 10)).toHaveLength(2);
          expect(await as.rowsWithValue(column, ['image/1.png'])).toHaveLength(1);
          expect(await as.rowsByKey(column, [['1']])).toHaveLength(1);
          expect(await as.rewrite(column, [change(['1'], 'image/1.png', 'x')], ignore)).toHaveLength(1);
          expect(await as.rewrite(column, [change([], 'image/2.png', 'y')], ignore)).toHaveLength(1);
          expect(await as.replicaLagMs()).toBeUndefined();
          const other = await table('id int PRIMARY KEY, path varchar(50)', numbered(1));
          await sql(dialect.grantColumns(['id', 'path'], [], other, role));
          const readOnly = await as.describe(ref(other));
          expect(readOnly).toMatchObject({ canSelect: true, canUpdate: false });
          await expect(
            as.rewrite(readOnly, [change(['1'], 'image/1.png', 'x')], ignore),
          ).rejects.toMatchObject({
            code: 'DATABASE_DENIED',
            hint: expect.stringMatching(/GRANT SELECT .*UPDATE .*path/),
          });
          await as[Symbol.asyncDispose]();
        } finally {
          await sql(dialect.dropRole(role));
        }
      });

      it('goes without encryption where the server has none and it is only preferred', async () => {
        await using preferring = await open((url) => {
          url.search = '?sslmode=prefer';
        });
        expect((await preferring.describe(ref('avatars', 'image_path'))).kind).toBe('table');
      });

      it('says a wrong password without it, and an unreachable server', async () => {
        const denied = await open((url) => {
          url.password = 'hush-hush';
        });
        const error = await denied.describe(ref('avatars')).catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'DATABASE_DENIED' });
        expect(`${(error as Error).stack} ${JSON.stringify(error)} ${denied.name}`).not.toContain('hush');
        await denied[Symbol.asyncDispose]();
        const nowhere = await open((url) => {
          url.port = '1';
        });
        await expect(nowhere.describe(ref('avatars'))).rejects.toMatchObject({
          code: 'DATABASE_UNREACHABLE',
        });
        await nowhere[Symbol.asyncDispose]();
      });
    });

    describe('when connections break', () => {
      it('says so when the server ends them, and connects again', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(3));
        const column = await facts(name);
        await db.rewrite(column, [change(['1'], 'image/1.png', 'x')], ignore);
        await sql(dialect.killOthers(target.name)).catch(ignore);
        const failures: unknown[] = [];
        const ask = () => db.rowsByKey(column, [['1']]).catch((error: unknown) => void failures.push(error));
        await expect.poll(ask).toEqual([{ primaryKey: ['1'], value: 'x' }]);
        for (const failure of failures) expect(failure).toMatchObject({ code: 'DATABASE_UNREACHABLE' });
      });

      it('rolls back when cut before the commit, and is usable afterwards', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(3));
        await using through = await open((url) => {
          url.port = String(proxy.port);
        });
        const column = await through.describe(ref(name));
        const all = numbered(3).map(([id, path]) => change([id!], path!, 'x'));
        const cut = through.rewrite(column, all, () => proxy.cut());
        const error = await cut.catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE' });
        expect(isRetryable(error)).toBe(true);
        await expect.poll(() => values(name)).toEqual(['image/1.png', 'image/2.png', 'image/3.png']);
        expect(await through.rewrite(column, all, ignore)).toHaveLength(3);
      });

      it('says so when the answer to the commit is lost, and the rows tell', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(3));
        await using through = await open((url) => {
          url.port = String(proxy.port);
        });
        const column = await through.describe(ref(name));
        const lost = through.rewrite(column, [change(['1'], 'image/1.png', 'x')], () => proxy.loseAnswers());
        await expect(lost).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
        await expect
          .poll(() => through.rowsByKey(column, [['1']]))
          .toEqual([{ primaryKey: ['1'], value: 'x' }]);
      });

      it('stops a statement that is cancelled', async () => {
        const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(2));
        const column = await facts(name);
        const reason = new Error('enough');
        const controller = new AbortController();
        const attempt = db.rewrite(
          column,
          [change(['1'], 'image/1.png', 'x')],
          () => controller.abort(reason),
          controller.signal,
        );
        const outcome = await attempt.catch((thrown: unknown) => thrown);
        const now = (await values(name))[0];
        // The commit was on its way: either both sides know of it, or neither.
        if (outcome === reason) expect(['image/1.png', 'x']).toContain(now);
        else expect(now).toBe('x');
        await expect(db.describe(ref(name), AbortSignal.abort(reason))).rejects.toBe(reason);
        expect(await db.rowsByKey(column, [['2']])).toHaveLength(1);
      });
    });

    it('ends the waits for a connection when it is disposed', async () => {
      const column = await facts(await table('id int, path varchar(50)', numbered(50)));
      const one = await open(undefined, 1);
      const scan = one.scan(column, {}, { batchRows: 5 })[Symbol.asyncIterator]();
      await scan.next();
      const waiting = one.describe(column.ref).catch((error: unknown) => error);
      const disposed = one[Symbol.asyncDispose]();
      expect(await within5s(waiting)).toMatchObject({ code: 'DATABASE_FAILED' });
      await scan.return?.();
      await within5s(disposed);
      await expect(one.describe(column.ref)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
    });

    it('ends the wait for a connection when it is cancelled', async () => {
      const column = await facts(await table('id int, path varchar(50)', numbered(50)));
      await using one = await open(undefined, 1);
      const scan = one.scan(column, {}, { batchRows: 5 })[Symbol.asyncIterator]();
      await scan.next();
      const controller = new AbortController();
      const waiting = one.describe(column.ref, controller.signal).catch((error: unknown) => error);
      const reason = new Error('enough');
      controller.abort(reason);
      expect(await within5s(waiting)).toBe(reason);
      await scan.return?.();
      expect((await one.describe(column.ref)).name).toBe(column.name);
    });

    it('samples values from all over the table', async () => {
      const name = await table('id int PRIMARY KEY, path varchar(50)', numbered(1500));
      const column = await facts(name);
      for (const estimated of [column, { ...column, rowsEstimate: 100_000 }]) {
        const sampled = await db.sample(estimated, 100);
        expect(sampled.length).toBeGreaterThan(40);
        expect(sampled.length).toBeLessThanOrEqual(100);
        // Of a table as large as the other estimate says a page would be a small part.
        if (estimated !== column) continue;
        const ids = sampled.map((value) => Number(/\d+/.exec(value)![0]));
        expect(Math.max(...ids) - Math.min(...ids)).toBeGreaterThan(750);
      }
    });
  });
}
