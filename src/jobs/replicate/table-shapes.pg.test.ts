/** Tables of odd shapes: names that are hard to quote, hundreds of columns, one column, no rows, text columns of few values. */

import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import {
  DuckDb,
  type FileColumn,
  hyparquetMetadata,
  hyparquetRows,
  quotedName,
  quotedText,
  type ReadRow,
} from '../../../test/worlds/lake-readers.ts';
import { PostgresOracle } from '../../../test/worlds/postgres-oracle.ts';
import { planReplication } from './plan.ts';

const job = lakeJob('shapes', { every: 60_000 });
let duckDb: DuckDb;
let oracle: PostgresOracle;

beforeAll(async () => {
  duckDb = await DuckDb.open();
});
afterAll(() => duckDb?.[Symbol.dispose]());
beforeEach(async () => {
  oracle = await PostgresOracle.open(job.database.url);
  return () => oracle[Symbol.asyncDispose]();
});

/** The newest manifest's files of a table, read by both readers, which agree. */
async function landed(table: string, columns: readonly FileColumn[]): Promise<ReadRow[]> {
  const rows: ReadRow[] = [];
  for (const file of job.lake
    .manifests()
    .at(-1)!
    .files.filter((one) => one.table === table)) {
    const path = join(job.folder, file.key);
    const read = await hyparquetRows(path, columns);
    const other = await duckDb.rows(path, columns);
    for (const [i, row] of other.entries()) if (String(row) !== String(read[i])) expect(row).toEqual(read[i]);
    expect(other).toHaveLength(read.length);
    rows.push(...read);
  }
  return rows;
}

const OP: FileColumn = { name: 'Op', parquet: 'STRING' };

describe('names', () => {
  const SCHEMA = `Odd "schema".é/%`;
  const TABLE = `we're %s / {odd} 😀..`;
  const NAMES = [
    'Id',
    'with space',
    ' ',
    `a "quoted" one`,
    `it's`,
    'a.b.c',
    '😀',
    'é'.repeat(31),
    'n'.repeat(63),
    'tab\tand\nline',
    '%s',
    '%1$s',
    '$1',
    '\\',
    '{}',
    '0',
    'constructor',
    '__proto__',
    'select',
    'ctid ',
    ',',
    ':a',
    '*',
  ];
  const columns = NAMES.map((name): FileColumn => ({ name, parquet: 'STRING' }));

  test('of schemas, tables and columns are the names in the files', async () => {
    const table = `${quotedName(SCHEMA)}.${quotedName(TABLE)}`;
    const defined = NAMES.map((name) => `${quotedName(name)} text ${name === '%s' ? 'PRIMARY KEY' : ''}`);
    const values = (row: string) =>
      NAMES.map((name) => `'${row}' || left(${quotedText(name)}, 9)`).join(', ');
    await oracle.ask(`CREATE SCHEMA ${quotedName(SCHEMA)}; CREATE TABLE ${table} (${defined.join(', ')});
      INSERT INTO ${table} VALUES (${values('1')}), (${values('2')})`);
    await job.run();
    const wanted = await oracle.rows(table, columns, '1');
    expect(await landed(TABLE, columns)).toEqual(wanted);
    const path = join(job.folder, job.lake.manifests().at(-1)!.files[0]!.key);
    const inSchema = hyparquetMetadata(path).schema.slice(1);
    expect(inSchema.map(({ name }) => name)).toEqual(NAMES);
    const inDuckDb = await duckDb.ask(`DESCRIBE FROM read_parquet(${quotedText(path)})`);
    expect(inDuckDb.map((column) => column['column_name'])).toEqual(NAMES);

    const set = columns.slice(0, 5).map(({ name }) => `${quotedName(name)} = 'new'`);
    await oracle.ask(`INSERT INTO ${table} VALUES (${values('3')});
      UPDATE ${table} SET ${set.join(', ')} WHERE "%s" LIKE '1%';
      DELETE FROM ${table} WHERE "%s" LIKE '2%'`);
    await job.run();
    const changes = await landed(TABLE, [OP, ...columns]);
    expect(changes.map(([op]) => op)).toEqual(['I', 'U', 'D']);
    const left = [changes[1]!, changes[0]!].map(([, ...row]) => row);
    expect(left).toEqual(await oracle.rows(table, columns, '"%s"'));
    await job.expectSame();
  });

  test('that are alike to files and not to PostgreSQL stay apart', async () => {
    const tables = ['a', 'a/b', 'a%2Fb', '..', '.', 'a '];
    for (const [i, name] of tables.entries())
      await oracle.ask(
        `CREATE TABLE ${quotedName(name)} (id int PRIMARY KEY); INSERT INTO ${quotedName(name)} VALUES (${i})`,
      );
    await job.run();
    for (const [i, name] of tables.entries())
      expect(await landed(name, [{ name: 'id', parquet: 'INT32' }])).toEqual([[`${i}`]]);
    expect(new Set(job.lake.listed()).size).toBe(tables.length);
  });
});

test.each([
  ['t (id int PRIMARY KEY, "_unfit" numeric(3))', 'two columns called _unfit'],
  ['t (id int PRIMARY KEY, op text)', 'two columns called op'],
  ['t (); ALTER TABLE t REPLICA IDENTITY FULL', 'public.t has no columns'],
  ['t (id int PRIMARY KEY, "ID" int)', 'the columns id and ID of public.t differ by case alone'],
  [
    't (id int PRIMARY KEY); CREATE TABLE "T" (id int PRIMARY KEY)',
    'the tables public.T and public.t differ by case',
  ],
])('what files cannot hold is refused by the plan and the run: %s', async (tables, what) => {
  await oracle.ask(`CREATE TABLE ${tables}`);
  const { problems } = await planReplication(job.options());
  expect(problems).toMatchObject([{ what: expect.stringContaining(what) }]);
  await expect(job.run()).rejects.toThrow(what);
});

test('three hundred columns', async () => {
  const TYPES: [type: string, parquet: string, value: (i: number) => string][] = [
    ['int', 'INT32', (i) => `${i}`],
    ['boolean', 'BOOLEAN', (i) => `${i % 2 === 0}`],
    ['text', 'STRING', (i) => `'v${i}'`],
    ['numeric(5,2)', 'DECIMAL(5,2)', () => 'NULL'],
    ['smallint', 'INT32 (INT 16)', () => 'NULL'],
  ];
  const typed = Array.from({ length: 300 }, (_, i) => TYPES[i % TYPES.length]!);
  const columns = typed.map(([, parquet], i): FileColumn => ({ name: `c${i}`, parquet }));
  const values = (more: number) => typed.map(([, , value], i) => value(i + more)).join(', ');
  const defined = typed.map(([type], i) => `c${i} ${type}${i === 0 ? ' PRIMARY KEY' : ''}`);
  await oracle.ask(
    `CREATE TABLE wide (${defined.join(', ')}); INSERT INTO wide VALUES (${values(0)}), (${values(5)})`,
  );
  await job.run();
  expect(await landed('wide', columns)).toEqual(await oracle.rows('wide', columns, 'c0'));
  await oracle.ask(
    `INSERT INTO wide VALUES (${values(10)}); UPDATE wide SET c0 = 20 + c0, c4 = c0, c3 = 'NaN'`,
  );
  await job.run();
  const changes = await landed('wide', [OP, ...columns]);
  expect(changes.map(([op]) => op)).toEqual(['I', 'D', 'I', 'D', 'I', 'D', 'I']);
  const rows = changes.filter(([op], i) => op === 'I' && i > 0).map(([, ...row]) => row);
  expect(rows).toEqual(await oracle.rows('wide', columns, 'c0'));
});

describe('few columns and rows', () => {
  const ID: FileColumn = { name: 'id', parquet: 'INT32' };

  test('a table without rows has no file until it has some', async () => {
    await oracle.ask('CREATE TABLE t (id int PRIMARY KEY)');
    await job.run();
    expect(job.lake.listed()).toEqual([]);
    expect(job.lake.manifests()[0]!.files).toEqual([]);
    await oracle.ask('INSERT INTO t VALUES (1); DELETE FROM t');
    await job.run();
    expect(await landed('t', [OP, ID])).toEqual([
      ['I', '1'],
      ['D', '1'],
    ]);
    await job.expectSame();
  });

  test('a table of one column, with a key and without', async () => {
    await oracle.ask(`CREATE TABLE keyed (id int PRIMARY KEY); INSERT INTO keyed VALUES (1), (2);
      CREATE TABLE keyless (id int); ALTER TABLE keyless REPLICA IDENTITY FULL; INSERT INTO keyless VALUES (1), (1), (NULL)`);
    await job.run();
    expect(await landed('keyed', [ID])).toEqual([['1'], ['2']]);
    expect(await landed('keyless', [ID])).toEqual([['1'], ['1'], [null]]);
    await oracle.ask(
      'UPDATE keyed SET id = 3 WHERE id = 1; UPDATE keyless SET id = 2 WHERE id IS NULL; DELETE FROM keyless WHERE id = 1',
    );
    await job.run();
    expect(await landed('keyed', [OP, ID])).toEqual([
      ['D', '1'],
      ['I', '3'],
    ]);
    expect(await landed('keyless', [OP, ID])).toEqual([
      ['D', null],
      ['I', '2'],
      ['D', '1'],
      ['D', '1'],
    ]);
    await job.expectSame();
  });

  test('columns that were dropped are gone', async () => {
    await oracle.ask(`CREATE TABLE t (gone text, id int PRIMARY KEY, also numeric, v text);
      INSERT INTO t VALUES ('x', 1, 1, 'a'); ALTER TABLE t DROP COLUMN gone; ALTER TABLE t DROP COLUMN also`);
    await job.run();
    await oracle.ask("INSERT INTO t VALUES (2, 'b')");
    const columns = [ID, { name: 'v', parquet: 'STRING' }];
    expect(await landed('t', columns)).toEqual([['1', 'a']]);
    await job.run();
    expect(await landed('t', columns)).toEqual([['2', 'b']]);
  });
});

test('text of few values, and of none at all', async () => {
  const columns = ['few', 'none', 'early', 'late'].map((name): FileColumn => ({ name, parquet: 'STRING' }));
  await oracle.ask('CREATE TABLE t (id int PRIMARY KEY, few text, none text, early text, late text)');
  // Each more than a row group holds, so that there is one without an early and one without a late value.
  const insert = (from: number, count: number) =>
    oracle.ask(`INSERT INTO t SELECT ${from} + i, CASE WHEN i % 5 <> 0 THEN 'é ' || i % 7 END, NULL,
      CASE WHEN i < ${count / 2} THEN 'early' END, CASE WHEN i > ${count - 50} THEN 'late ' || i END
      FROM generate_series(0, ${count - 1}) i`);
  const text = (rows: readonly ReadRow[]) => rows.map((row) => JSON.stringify(row)).join('\n');
  for (const [from, count] of [
    [0, 120_000],
    [1_000_000, 60_000],
  ] as const) {
    await insert(from, count);
    await job.run();
    const wanted = await oracle.rows(`(SELECT * FROM t WHERE id >= ${from}) t`, columns, 'id');
    expect(text(await landed('t', columns)) === text(wanted)).toBe(true);
    const { key } = job.lake.manifests().at(-1)!.files[0]!;
    expect(hyparquetMetadata(join(job.folder, key)).row_groups.length).toBeGreaterThan(1);
  }
});
