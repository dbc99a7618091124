/** The files of a replication as Parquet: their schema, row groups, statistics and compression, as other readers see them. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { NATIVE } from '../../../test/worlds/every-type.ts';
import { Lake } from '../../../test/worlds/lake.ts';
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
import { dropReplicationOf, replicate } from './run.ts';
import type { ReplicateOptions } from './settings.ts';

/** Of each type of docs/replicate.md: how it is stored, and what DuckDB and hyparquet make of it. */
const STORED: Readonly<
  Record<string, readonly [physical: string, duckDb: string, logical: object | undefined]>
> = {
  BOOLEAN: ['BOOLEAN', 'BOOLEAN', undefined],
  'INT32 (INT 16)': ['INT32', 'SMALLINT', { type: 'INTEGER', bitWidth: 16, isSigned: true }],
  INT32: ['INT32', 'INTEGER', undefined],
  INT64: ['INT64', 'BIGINT', undefined],
  FLOAT: ['FLOAT', 'FLOAT', undefined],
  DOUBLE: ['DOUBLE', 'DOUBLE', undefined],
  DATE: ['INT32', 'DATE', { type: 'DATE' }],
  'TIME(MICROS)': ['INT64', 'TIME', { type: 'TIME', isAdjustedToUTC: false, unit: 'MICROS' }],
  'TIMESTAMP(MICROS, local)': [
    'INT64',
    'TIMESTAMP',
    { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'MICROS' },
  ],
  'TIMESTAMP(MICROS, UTC)': [
    'INT64',
    'TIMESTAMP WITH TIME ZONE',
    { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  ],
  STRING: ['BYTE_ARRAY', 'VARCHAR', { type: 'STRING' }],
  BYTE_ARRAY: ['BYTE_ARRAY', 'BLOB', undefined],
};

function storedAs(parquet: string): readonly [physical: string, duckDb: string, logical: object | undefined] {
  const [precision, scale] = /^DECIMAL\((\d+),(\d+)\)$/.exec(parquet)?.slice(1).map(Number) ?? [];
  if (precision === undefined) return STORED[parquet]!;
  const physical = precision <= 9 ? 'INT32' : precision <= 18 ? 'INT64' : 'FIXED_LEN_BYTE_ARRAY';
  return [physical, parquet, { type: 'DECIMAL', precision, scale }];
}

/** Types of whose order all readers agree, and whose bounds are short. */
const BOUNDED = /^(INT|DATE|TIME)/;

const ROWS = 136;
/** Sixty-four of them are more than a row group takes. */
const FILLER = `repeat('x', 420000)`;
const COLUMNS: readonly FileColumn[] = NATIVE.map(({ type, parquet }, i) => ({
  name: `${i} ${type}`,
  parquet,
}));
const KEY: FileColumn = { name: 'id', parquet: 'INT32' };
/** Those that each change has besides, where a table has such columns. */
const OWN: readonly FileColumn[] = [
  { name: 'Op', parquet: 'STRING' },
  { name: '_commit_lsn', parquet: 'INT64' },
  { name: '_ordinal', parquet: 'INT64' },
  { name: '_xid', parquet: 'INT64' },
  { name: '_commit_ts', parquet: 'TIMESTAMP(MICROS, UTC)' },
  { name: '_reread', parquet: 'STRING' },
  { name: '_unfit', parquet: 'STRING' },
];

const COMPRESSIONS = ['zstd', 'snappy', 'gzip', 'none'] as const;
const CODECS: Readonly<Record<string, string>> = {
  zstd: 'ZSTD',
  snappy: 'SNAPPY',
  gzip: 'GZIP',
  none: 'UNCOMPRESSED',
};

let postgres: PostgresServer;
let oracle: PostgresOracle;
let duckDb: DuckDb;
const root = mkdtempSync(join(tmpdir(), 'longshore-lake-'));
/** A file of the full load in each compression, and one of the same rows as changes. */
const files = new Map<string, string>();

/** Values lie together, so that no row group has all of them. */
function insert(): string {
  const tuples = Array.from({ length: ROWS }, (_, i) => {
    const values = NATIVE.map(({ values, type }) => {
      const pool = [...values, `NULL::${type}`];
      return pool[Math.floor((i * pool.length) / ROWS)]!;
    });
    return `(${i}, ${values.join(', ')}, ${FILLER})`;
  });
  return `INSERT INTO grouped VALUES ${tuples.join(', ')}`;
}

beforeAll(async () => {
  postgres = await postgresServer();
  const from = (await postgres.createDatabase()).url;
  oracle = await PostgresOracle.open(from);
  duckDb = await DuckDb.open();
  const defined = COLUMNS.map(({ name }, i) => `${quotedName(name)} ${NATIVE[i]!.type}`);
  await oracle.ask(`CREATE TABLE grouped (id int PRIMARY KEY, ${defined.join(', ')}, filler text)`);
  const land = async (name: string, options: Partial<ReplicateOptions>) => {
    const folder = join(root, name);
    mkdirSync(folder, { recursive: true });
    await replicate({ from, to: `file://${folder}/`, name, untilCaughtUp: true, every: 60_000, ...options });
    const landed = new Lake(folder, name).manifests().at(-1)!.files;
    if (landed.length > 0) files.set(name, join(folder, landed[0]!.key));
    return landed.length;
  };
  expect(await land('changes', {})).toBe(0);
  await oracle.ask(insert());
  expect(await land('changes', {})).toBe(1);
  await dropReplicationOf({ from, to: `file://${root}/`, name: 'changes' });
  for (const compression of COMPRESSIONS)
    expect(await land(compression, { compression, mode: 'full-load' })).toBe(1);
});

afterAll(async () => {
  duckDb?.[Symbol.dispose]();
  await oracle?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

describe.each(['changes', ...COMPRESSIONS])('%s', (name) => {
  const own = (column: FileColumn) => name === 'changes' || column.name === '_unfit';
  const columns = [
    ...OWN.slice(0, 1).filter(own),
    KEY,
    ...COLUMNS,
    { name: 'filler', parquet: 'STRING' },
    ...OWN.slice(1).filter(own),
  ];

  test('has the schema that is documented', async () => {
    const path = files.get(name)!;
    const [root, ...elements] = hyparquetMetadata(path).schema;
    expect(root!.num_children).toBe(columns.length);
    expect(
      elements.map((element) => ({
        name: element.name,
        stored: element.type,
        logical: element.logical_type,
        nullable: element.repetition_type === 'OPTIONAL',
      })),
    ).toEqual(
      columns.map(({ name, parquet }) => {
        const [stored, , logical] = storedAs(parquet);
        return { name, stored, logical, nullable: true };
      }),
    );
    const seen =
      await duckDb.ask(`SELECT name, type, duckdb_type, scale, "precision" FROM parquet_schema(${quotedText(path)})
      WHERE num_children IS NULL ORDER BY column_id`);
    expect(seen.map((column) => [column['name'], column['type'], column['duckdb_type']])).toEqual(
      columns.map(({ name, parquet }) => [name, ...storedAs(parquet).slice(0, 2)]),
    );
  });

  test('has row groups, compressed as wanted', () => {
    const { row_groups, num_rows } = hyparquetMetadata(files.get(name)!);
    expect(num_rows).toBe(BigInt(ROWS));
    expect(row_groups.length).toBeGreaterThan(1);
    const chunks = row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data!));
    const codec = CODECS[name] ?? CODECS['zstd'];
    expect(chunks.some((chunk) => chunk.codec === codec)).toBe(true);
    // What does not become smaller is left as it is.
    const plain = chunks.filter((chunk) => chunk.codec !== codec);
    for (const chunk of plain)
      expect([chunk.codec, chunk.total_compressed_size]).toEqual([
        'UNCOMPRESSED',
        chunk.total_uncompressed_size,
      ]);
  });

  test('both readers see the same values', async () => {
    const path = files.get(name)!;
    const wanted = await oracle.rows('grouped', [KEY, ...COLUMNS], 'grouped.id');
    expect((await duckDb.rows(path, [KEY, ...COLUMNS])).toSorted(byKey)).toEqual(wanted);
    expect((await hyparquetRows(path, [KEY, ...COLUMNS])).toSorted(byKey)).toEqual(wanted);
  });
});

const byKey = ([a]: ReadRow, [b]: ReadRow) => Number(a) - Number(b);

describe.each(['changes', 'zstd'])('%s', (name) => {
  test('bounds of row groups are those of their values', async () => {
    const path = files.get(name)!;
    let first = 0;
    const groups = hyparquetMetadata(path).row_groups.map(({ num_rows }) => {
      const rows = `file_row_number BETWEEN ${first} AND ${first + Number(num_rows) - 1}`;
      first += Number(num_rows);
      return rows;
    });
    for (const { name: column, parquet } of [KEY, ...COLUMNS]) {
      const stated =
        await duckDb.ask(`SELECT stats_min_value AS low, stats_max_value AS high, stats_null_count AS nulls
        FROM parquet_metadata(${quotedText(path)}) WHERE path_in_schema = ${quotedText(column)} ORDER BY row_group_id`);
      expect(stated, column).toHaveLength(groups.length);
      for (const [group, rows] of groups.entries()) {
        const quoted = quotedName(column);
        const text = (value: string) =>
          parquet.includes('UTC') ? `make_timestamp(epoch_us(${value})) || '+00'` : `${value}::VARCHAR`;
        const [found] =
          await duckDb.ask(`SELECT ${text(`min(${quoted})`)} AS low, ${text(`max(${quoted})`)} AS high,
          count(*) - count(${quoted}) AS nulls
          FROM read_parquet(${quotedText(path)}, file_row_number = true) WHERE ${rows}`);
        const { low, nulls } = stated[group]!;
        expect(nulls, column).toBe(found!['nulls']);
        if (low !== null) expect(stated[group], column).toEqual(found);
        else if (BOUNDED.test(parquet)) expect(found!['low'], column).toBeNull();
      }
    }
  });

  test('a filter finds the rows of a value in whichever row group they are', async () => {
    const path = files.get(name)!;
    for (const column of COLUMNS) {
      const quoted = quotedName(column.name);
      // The two zeros of floats are equal.
      const isFloat = column.parquet === 'FLOAT' || column.parquet === 'DOUBLE';
      const same = (value: string) =>
        isFloat ? value.replace(/^80+$/, (zero) => zero.replace('8', '0')) : value;
      const all = (await duckDb.rows(path, [column, KEY])).filter(([value]) => value !== null);
      for (const [value, rows] of Map.groupBy(all, ([value]) => same(value!))) {
        const wanted = rows.map(([, id]) => id);
        const found = await duckDb.rows(path, [KEY], `${quoted} = ${literal(column, value)}`);
        expect(
          found.map(([id]) => id),
          `${column.name} ${value}`,
        ).toEqual(wanted);
      }
    }
  });
});

/** In DuckDB's SQL, of what a reader says. */
function literal({ parquet }: FileColumn, value: string): string {
  if (parquet === 'FLOAT' || parquet === 'DOUBLE')
    return `${quotedText(floatText(parquet, value))}::${parquet}`;
  if (parquet.startsWith('DECIMAL')) return `${quotedText(decimalText(parquet, value))}::${parquet}`;
  if (parquet === 'DATE') return `DATE '1970-01-01' + (${value})`;
  if (parquet.startsWith('TIME(')) return `TIME '00:00:00' + to_microseconds(${value})`;
  if (parquet.startsWith('TIMESTAMP'))
    return `make_timestamp${parquet.includes('UTC') ? 'tz' : ''}(${value}::BIGINT)`;
  return parquet === 'BYTE_ARRAY' ? `unhex(${quotedText(value)})` : quotedText(value);
}

function decimalText(parquet: string, value: string): string {
  const scale = Number(/,(\d+)/.exec(parquet)![1]);
  const digits = value.replace('-', '').padStart(scale + 1, '0');
  const [whole, fraction] = [digits.slice(0, digits.length - scale), digits.slice(digits.length - scale)];
  return `${value.startsWith('-') ? '-' : ''}${whole}.${fraction}`;
}

function floatText(parquet: string, value: string): string {
  if (value === 'NaN') return value;
  const bytes = Buffer.from(value, 'hex');
  return String(parquet === 'FLOAT' ? bytes.readFloatBE() : bytes.readDoubleBE());
}
