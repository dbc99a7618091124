import { tableFromIPC } from 'apache-arrow';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { readParquet } from 'parquet-wasm/node';
import { expect, test } from 'vitest';
import { BatchBuilder } from './batch-builder.ts';
import type { BytesBuilder, FixedBuilder } from './column-builder.ts';
import type { Column } from './column-type.ts';
import { type ParquetCompression, ParquetFile, type ParquetOptions } from './parquet-file.ts';

const COLUMNS: readonly Column[] = [
  { name: 'id', type: { kind: 'int32' } },
  { name: 'kind', type: { kind: 'text' } },
  { name: 'a "b"', type: { kind: 'text' } },
];

interface Row {
  readonly id: number;
  readonly kind: string | null;
  readonly 'a "b"': string;
}

const rowOf = (id: number): Row => ({
  id,
  kind: id % 5 === 0 ? null : `kind ${id % 3}`,
  'a "b"': `Zoë ${id}`,
});
const rowsOf = (from: number, count: number) => Array.from({ length: count }, (_, i) => rowOf(from + i));

function fill(batch: BatchBuilder, rows: readonly Row[]): void {
  const [id, kind, text] = batch.builders as unknown as [FixedBuilder, BytesBuilder, BytesBuilder];
  for (const row of rows) {
    id.push32(row.id);
    if (row.kind === null) kind.pushNull();
    else kind.pushText(row.kind);
    text.pushText(row['a "b"']);
  }
}

/** A file with a row group for each of the groups. */
async function write(options: ParquetOptions, groups: readonly (readonly Row[])[], columns = COLUMNS) {
  const pieces: Uint8Array[] = [];
  const file = new ParquetFile(options, (more) => void pieces.push(Buffer.concat(more)));
  const batch = new BatchBuilder(columns);
  for (const rows of groups) {
    fill(batch, rows);
    await file.write(batch);
    expect(batch.rows).toBe(0);
  }
  await file.end();
  const bytes = Buffer.concat(pieces);
  expect(file.bytes).toBe(bytes.byteLength);
  expect(file.rows).toBe(groups.flat().length);
  return { bytes, pieces };
}

const bufferOf = (bytes: Buffer) => new Uint8Array(bytes).buffer;
const footerOf = (bytes: Buffer) => parquetMetadata(bufferOf(bytes));

function readWasm(bytes: Buffer): Row[] {
  const table = tableFromIPC(readParquet(bytes).intoIPCStream());
  return table.toArray().map((row) => ({ ...row.toJSON() }) as Row);
}
const readHyparquet = (bytes: Buffer) => parquetReadObjects({ file: bufferOf(bytes), compressors });

const CODECS: Readonly<Record<ParquetCompression, string>> = {
  none: 'UNCOMPRESSED',
  snappy: 'SNAPPY',
  zstd: 'ZSTD',
  gzip: 'GZIP',
};

test.each(Object.entries(CODECS) as [ParquetCompression, string][])(
  'a file of several row groups, compressed with %s, is read back by other readers',
  async (compression, codec) => {
    const groups = [rowsOf(0, 2500), rowsOf(2500, 1), rowsOf(2501, 3000)];
    const { bytes } = await write({ compression }, groups);
    expect(readWasm(bytes)).toEqual(groups.flat());
    expect(await readHyparquet(bytes)).toEqual(groups.flat());
    const { row_groups } = footerOf(bytes);
    expect(row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([2500, 1, 3000]);
    const chunks = row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data!));
    expect(chunks.some((chunk) => chunk.codec === codec)).toBe(true);
    for (const chunk of chunks) {
      const plain = Number(chunk.total_uncompressed_size);
      const stored = Number(chunk.total_compressed_size);
      if (chunk.codec === codec) continue;
      // What does not become an eighth smaller is left as it is.
      expect([chunk.codec, stored]).toEqual(['UNCOMPRESSED', plain]);
    }
  },
);

test('a batch is one row group, however many rows it has', async () => {
  const { bytes } = await write({ compression: 'snappy' }, [rowsOf(0, 1_200_000)]);
  expect(footerOf(bytes).row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([1_200_000]);
});

test('the metadata is in the footer', async () => {
  const metadata = { 'longshore.table': 'public.Größe', 'longshore.kind': 'changes', empty: '' };
  const { bytes } = await write({ compression: 'zstd', metadata }, [rowsOf(0, 3)]);
  const { key_value_metadata, created_by } = footerOf(bytes);
  expect(key_value_metadata).toEqual(
    expect.arrayContaining(Object.entries(metadata).map(([key, value]) => ({ key, value }))),
  );
  expect(created_by).toBe('longshore');
});

test('a dictionary is kept for text of few values, and for nothing else', async () => {
  const dictionaries = async (columns: readonly Column[], rows: readonly Row[]) => {
    const { bytes } = await write({ compression: 'none' }, [rows], columns);
    expect((await readHyparquet(bytes)).map((row) => Object.values(row))).toEqual(
      rows.map((row) => Object.values(row)),
    );
    return footerOf(bytes).row_groups[0]!.columns.map(
      ({ meta_data }) => meta_data!.dictionary_page_offset !== undefined,
    );
  };
  const rows = rowsOf(0, 3000);
  expect(await dictionaries(COLUMNS, rows)).toEqual([false, true, false]);
  expect(await dictionaries(COLUMNS, rowsOf(0, 1000))).toEqual([false, false, false]);
  const values = (count: number) => rows.map((row, i) => ({ ...row, kind: `${i % count}` }));
  expect(await dictionaries(COLUMNS, values(200))).toEqual([false, true, false]);
  expect(await dictionaries(COLUMNS, values(201))).toEqual([false, false, false]);
});

test('a column with a dot in its name is a column', async () => {
  const columns = COLUMNS.with(1, { name: 'a.b', type: { kind: 'text' } });
  const rows = rowsOf(0, 3000);
  const { bytes } = await write({ compression: 'snappy' }, [rows], columns);
  expect(
    footerOf(bytes)
      .schema.map(({ name }) => name)
      .slice(1),
  ).toEqual(['id', 'a.b', 'a "b"']);
  expect(readWasm(bytes).map((row) => Object.values(row))).toEqual(rows.map((row) => Object.values(row)));
});

test('every type is what Parquet calls it', async () => {
  const types: Column['type'][] = [
    { kind: 'boolean' },
    { kind: 'int16' },
    { kind: 'int64' },
    { kind: 'float32' },
    { kind: 'float64' },
    { kind: 'decimal', precision: 9, scale: 2 },
    { kind: 'decimal', precision: 38, scale: 0 },
    { kind: 'date' },
    { kind: 'time' },
    { kind: 'timestamp', utc: true },
    { kind: 'timestamp', utc: false },
    { kind: 'text' },
    { kind: 'binary' },
  ];
  const pieces: Uint8Array[] = [];
  const file = new ParquetFile({ compression: 'none' }, (more) => void pieces.push(Buffer.concat(more)));
  const batch = new BatchBuilder(types.map((type, i) => ({ name: `c${i}`, type })));
  for (const builder of batch.builders) builder.pushNull();
  await file.write(batch);
  await file.end();
  const bytes = Buffer.concat(pieces);
  const [, ...columns] = footerOf(bytes).schema;
  expect(columns.map(({ repetition_type }) => repetition_type)).toEqual(types.map(() => 'OPTIONAL'));
  expect(columns.map(({ type, logical_type }) => [type, logical_type?.type])).toEqual([
    ['BOOLEAN', undefined],
    ['INT32', 'INTEGER'],
    ['INT64', undefined],
    ['FLOAT', undefined],
    ['DOUBLE', undefined],
    ['INT32', 'DECIMAL'],
    ['FIXED_LEN_BYTE_ARRAY', 'DECIMAL'],
    ['INT32', 'DATE'],
    ['INT64', 'TIME'],
    ['INT64', 'TIMESTAMP'],
    ['INT64', 'TIMESTAMP'],
    ['BYTE_ARRAY', 'STRING'],
    ['BYTE_ARRAY', undefined],
  ]);
  expect(columns.slice(8, 11).map(({ logical_type }) => logical_type)).toEqual([
    expect.objectContaining({ unit: 'MICROS' }),
    expect.objectContaining({ unit: 'MICROS', isAdjustedToUTC: true }),
    expect.objectContaining({ unit: 'MICROS', isAdjustedToUTC: false }),
  ]);
  expect(await readHyparquet(bytes)).toEqual([Object.fromEntries(types.map((_, i) => [`c${i}`, null]))]);
});

test('a file without rows has its columns', async () => {
  const { bytes } = await write({ compression: 'snappy' }, [[]]);
  expect(readWasm(bytes)).toEqual([]);
  expect(await readHyparquet(bytes)).toEqual([]);
  expect(
    footerOf(bytes)
      .schema.map(({ name }) => name)
      .slice(1),
  ).toEqual(['id', 'kind', 'a "b"']);
});

test('a file that was never begun has no bytes', async () => {
  expect((await write({ compression: 'snappy' }, [])).bytes.byteLength).toBe(0);
});

test('what is encoded comes out before the file ends, and the next piece waits for the one before', async () => {
  let taking = 0;
  let most = 0;
  let out = 0;
  const file = new ParquetFile({ compression: 'none' }, async (pieces) => {
    most = Math.max(most, ++taking);
    await new Promise((resolve) => setTimeout(resolve, 2));
    taking--;
    for (const { byteLength } of pieces) out += byteLength;
  });
  const batch = new BatchBuilder(COLUMNS);
  for (let group = 0; group < 8; group++) {
    fill(batch, rowsOf(group * 20_000, 20_000));
    await file.write(batch);
  }
  expect(out).toBeGreaterThan(1_000_000);
  await file.end();
  expect(out).toBe(file.bytes);
  expect(most).toBe(1);
});

test('rows that are added while others are written are of the next row group', async () => {
  const pieces: Uint8Array[] = [];
  const file = new ParquetFile({ compression: 'zstd' }, (more) => void pieces.push(...more));
  const batch = new BatchBuilder(COLUMNS);
  const groups = [rowsOf(0, 5000), rowsOf(5000, 4000), rowsOf(9000, 100)];
  let writing = Promise.resolve();
  for (const rows of groups) {
    fill(batch, rows);
    await writing;
    writing = file.write(batch);
  }
  await writing;
  await file.end();
  expect(readWasm(Buffer.concat(pieces))).toEqual(groups.flat());
});

test('a piece that cannot be written fails the file', async () => {
  const error = new Error('disk full');
  const file = new ParquetFile({ compression: 'none' }, () => Promise.reject(error));
  const batch = new BatchBuilder(COLUMNS);
  const written = async () => {
    for (let group = 0; group < 20; group++) {
      fill(batch, rowsOf(0, 20_000));
      await file.write(batch);
    }
    await file.end();
  };
  await expect(written()).rejects.toBe(error);
});
