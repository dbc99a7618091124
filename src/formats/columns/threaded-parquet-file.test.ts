import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { tableFromIPC } from 'apache-arrow';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { readParquet } from 'parquet-wasm/node';
import { expect, test } from 'vitest';
import { ColumnBatch } from './column-batch.ts';
import type { BooleanBuilder, BytesBuilder, FixedBuilder } from './column-builder.ts';
import type { Column } from './column-type.ts';
import { GroupMemory } from './group-memory.ts';
import type { ParquetCompression } from './page-codec.ts';
import { ParquetFile } from './parquet-file.ts';
import { ThreadedParquetFile } from './threaded-parquet-file.ts';

const COLUMNS: readonly Column[] = [
  { name: 'id', type: { kind: 'int64' } },
  { name: 'kind', type: { kind: 'text' } },
  { name: 'text', type: { kind: 'text' } },
  { name: 'amount', type: { kind: 'decimal', precision: 12, scale: 2 } },
  { name: 'flag', type: { kind: 'boolean' } },
  { name: 'none', type: { kind: 'text' } },
];

interface Row {
  readonly id: number;
  readonly kind: string | null;
  readonly text: string;
  readonly flag: boolean | null;
}

const rowOf = (id: number): Row => ({
  id,
  kind: id % 5 === 0 ? null : `kind ${id % 3}`,
  text: `Zoë ${id}`,
  flag: id % 9 === 0 ? null : id % 2 === 0,
});
const rowsOf = (from: number, count: number, of = rowOf) =>
  Array.from({ length: count }, (_, i) => of(from + i));

function fill(batch: ColumnBatch, rows: readonly Row[]): void {
  const [id, kind, text, amount, flag, none] = batch.builders as unknown as [
    FixedBuilder,
    BytesBuilder,
    BytesBuilder,
    FixedBuilder,
    BooleanBuilder,
    BytesBuilder,
  ];
  for (const row of rows) {
    id.push64(0, row.id);
    if (row.kind === null) kind.pushNull();
    else kind.pushText(row.kind);
    text.pushText(row.text);
    amount.push128(row.id, 0, 0, 0);
    if (row.flag === null) flag.pushNull();
    else flag.push(row.flag);
    none.pushNull();
  }
}

const expectedOf = ({ id, kind, text, flag }: Row) => ({
  id: BigInt(id),
  kind,
  text,
  // As the reader makes a number of it.
  amount: id * 0.01,
  flag,
  none: null,
});

/** A file of groups of batches of rows, in memory that another file has used. */
function write(
  compression: ParquetCompression,
  groups: readonly (readonly (readonly Row[])[])[],
  memory = new GroupMemory(),
): Buffer {
  const pieces: Uint8Array[] = [];
  const file = new ThreadedParquetFile({ compression, metadata: { of: 'a thread' } }, memory, (more) =>
    pieces.push(Buffer.concat(more)),
  );
  const batch = new ColumnBatch(COLUMNS);
  for (const batches of groups) {
    for (const rows of batches) {
      fill(batch, rows);
      file.add(batch);
      expect(batch.rows).toBe(0);
    }
    expect(file.groupRows).toBe(batches.flat().length);
    file.endGroup();
    expect(file.groupRows).toBe(0);
  }
  file.end();
  const bytes = Buffer.concat(pieces);
  expect([file.bytes, file.rows]).toEqual([bytes.byteLength, groups.flat(2).length]);
  return bytes;
}

const bufferOf = (bytes: Buffer) => new Uint8Array(bytes).buffer;
const footerOf = (bytes: Buffer) => parquetMetadata(bufferOf(bytes));
const read = (bytes: Buffer) => parquetReadObjects({ file: bufferOf(bytes), compressors });
/** Of many rows the first that differs says more than all. */
function expectRows(found: readonly unknown[], rows: readonly Row[]): void {
  const expected = rows.map(expectedOf);
  const different = found.findIndex((row, i) => !isDeepStrictEqual({ ...(row as object) }, expected[i]));
  expect([different, found[different]]).toEqual([different, expected[different]]);
  expect(found).toHaveLength(expected.length);
}
const columnOf = (bytes: Buffer, name: string, group = 0) =>
  footerOf(bytes).row_groups[group]!.columns[COLUMNS.findIndex((column) => column.name === name)]!.meta_data!;

test.each(['none', 'snappy', 'zstd', 'gzip'] as const)(
  'row groups of several batches, compressed with %s, are read back by other readers',
  async (compression) => {
    const groups = [
      [rowsOf(0, 3000), rowsOf(3000, 1), rowsOf(3001, 4000)],
      [rowsOf(7001, 5)],
      [rowsOf(7006, 100), rowsOf(7106, 2500)],
    ];
    const memory = new GroupMemory();
    write(compression, [[rowsOf(50, 6000)]], memory);
    const bytes = write(compression, groups, memory);
    expectRows(await read(bytes), groups.flat(2));
    const table = tableFromIPC(readParquet(bytes).intoIPCStream());
    expect(table.toArray().map(({ id, kind, text }) => [id, kind, text])).toEqual(
      groups.flat(2).map(({ id, kind, text }) => [BigInt(id), kind, text]),
    );
    const footer = footerOf(bytes);
    expect(footer.row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([7001, 5, 2600]);
    expect(footer.key_value_metadata).toEqual([{ key: 'of', value: 'a thread' }]);
  },
);

test('bounds and nulls are those of all batches of a row group', () => {
  const bytes = write('zstd', [[rowsOf(500, 3000), rowsOf(20, 400), rowsOf(9000, 10)], [rowsOf(30, 4)]]);
  const { statistics } = columnOf(bytes, 'id');
  expect([statistics?.min_value, statistics?.max_value]).toEqual([20n, 9009n]);
  expect(columnOf(bytes, 'text').statistics).toMatchObject({ min_value: 'Zoë 100', max_value: 'Zoë 999' });
  expect(columnOf(bytes, 'text', 1).statistics).toMatchObject({ min_value: 'Zoë 30', max_value: 'Zoë 33' });
  expect(columnOf(bytes, 'none').statistics).toMatchObject({ null_count: 3410n });
  expect(columnOf(bytes, 'none').statistics?.min_value).toBeUndefined();
});

test('a dictionary is shared by the batches of a row group, and given up where the values become many', async () => {
  const few = rowsOf(0, 4000);
  const more = rowsOf(4000, 4000, (id) => ({ ...rowOf(id), kind: `another ${id % 7}` }));
  const many = rowsOf(8000, 4000, (id) => ({ ...rowOf(id), kind: `only ${id}` }));
  const groups = [[few, more, many, few], [many], [few]];
  const bytes = write('snappy', groups);
  expectRows(await read(bytes), groups.flat(2));
  const hasDictionary = [0, 1, 2].map(
    (group) => columnOf(bytes, 'kind', group).dictionary_page_offset !== undefined,
  );
  expect(hasDictionary).toEqual([true, false, true]);
});

test('a column that hardly becomes smaller is not compressed, and its group tells so', async () => {
  const random = rowsOf(0, 4000, (id) => ({
    ...rowOf(id),
    text: createHash('sha256').update(`${id}`).digest('base64'),
  }));
  const groups = [[random, random], [rowsOf(0, 4000)], [random]];
  const bytes = write('snappy', groups);
  expectRows(await read(bytes), groups.flat(2));
  expect([0, 1, 2].map((group) => columnOf(bytes, 'text', group).codec)).toEqual([
    'UNCOMPRESSED',
    'SNAPPY',
    'UNCOMPRESSED',
  ]);
  expect(columnOf(bytes, 'id').codec).toBe('SNAPPY');
});

test('values larger than the memory that is used again', async () => {
  const rows = [5_000_000, 3, 9_000_000].map((length, i) => ({
    ...rowOf(i),
    text: 'abcdefg'.repeat(length / 7),
  }));
  for (const compression of ['none', 'snappy'] as const) {
    const bytes = write(compression, [[rows.slice(0, 1), rows.slice(1)], [rowsOf(9, 3)]]);
    expectRows(await read(bytes), [...rows, ...rowsOf(9, 3)]);
  }
});

test('equal rows make equal files', () => {
  const groups = [[rowsOf(3, 3000)], [rowsOf(0, 1001)]];
  const used = new GroupMemory();
  write('zstd', [[rowsOf(77, 9001)]], used);
  expect(write('zstd', groups, used).equals(write('zstd', groups))).toBe(true);
});

test('one batch a row group makes the file that is made on the thread pool', async () => {
  const groups = [[rowsOf(0, 5000)], [rowsOf(5000, 5)]];
  const pieces: Uint8Array[] = [];
  const options = { compression: 'snappy', metadata: { of: 'a thread' } } as const;
  const file = new ParquetFile(options, (more) => void pieces.push(...more));
  const batch = new ColumnBatch(COLUMNS);
  for (const [rows] of groups) {
    fill(batch, rows!);
    await file.write(batch);
  }
  await file.end();
  expect(write('snappy', groups).equals(Buffer.concat(pieces))).toBe(true);
});

test('a file without rows has no bytes', () => {
  expect(write('zstd', []).byteLength).toBe(0);
});

test('what takes the pieces and fails, fails the call', () => {
  const error = new Error('disk full');
  const file = new ThreadedParquetFile({ compression: 'none' }, new GroupMemory(), () => {
    throw error;
  });
  const batch = new ColumnBatch(COLUMNS);
  fill(batch, rowsOf(0, 10));
  expect(() => file.add(batch)).toThrow(error);
});
