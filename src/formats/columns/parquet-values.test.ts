import { tableFromIPC } from 'apache-arrow';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { readParquet } from 'parquet-wasm/node';
import { expect, test } from 'vitest';
import { BatchBuilder } from './batch-builder.ts';
import { BooleanBuilder, BytesBuilder, type ColumnBuilder, type FixedBuilder } from './column-builder.ts';
import type { Column, ColumnType } from './column-type.ts';
import { ParquetFile } from './parquet-file.ts';
import { rowTexts } from './row-texts.ts';

const TYPES: readonly ColumnType[] = [
  { kind: 'boolean' },
  { kind: 'int16' },
  { kind: 'int32' },
  { kind: 'int64' },
  { kind: 'float32' },
  { kind: 'float64' },
  { kind: 'decimal', precision: 1, scale: 0 },
  { kind: 'decimal', precision: 9, scale: 2 },
  { kind: 'decimal', precision: 10, scale: 2 },
  { kind: 'decimal', precision: 18, scale: 18 },
  { kind: 'decimal', precision: 19, scale: 0 },
  { kind: 'decimal', precision: 28, scale: 4 },
  { kind: 'decimal', precision: 38, scale: 0 },
  { kind: 'date' },
  { kind: 'time' },
  { kind: 'timestamp', utc: true },
  { kind: 'timestamp', utc: false },
  { kind: 'text' },
  { kind: 'binary' },
];
/** Of few values, for a dictionary. */
const FEW: ColumnType = { kind: 'text' };
const COLUMNS: readonly Column[] = [...TYPES, FEW].map((type, i) => ({ name: `c${i}`, type }));

/** Pseudorandom words of 32 bits, the same for the same seed (xorshift). */
function* words(seed: number): Generator<number, never> {
  for (let x = seed; ; ) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    yield x | 0;
  }
}

function push(builder: ColumnBuilder, isFew: boolean, next: () => number): void {
  const { type } = builder;
  if (builder instanceof BooleanBuilder) builder.push((next() & 1) === 1);
  else if (builder instanceof BytesBuilder) {
    const text = isFew
      ? `value ${(next() >>> 0) % 150}`
      : 'é'.repeat((next() >>> 0) % 5) + String(next()).repeat((next() >>> 0) % 9);
    const bytes = Buffer.from(text, type.kind === 'text' ? 'utf8' : 'latin1');
    builder.push(bytes, 0, bytes.byteLength);
  } else pushFixed(builder as FixedBuilder, type, next);
}

function pushFixed(builder: FixedBuilder, type: ColumnType, next: () => number): void {
  const edge = (next() & 15) === 0;
  if (type.kind === 'decimal') {
    const most = 10n ** BigInt(type.precision) - 1n;
    const random =
      (BigInt(next()) << 96n) ^ (BigInt(next()) << 64n) ^ (BigInt(next()) << 32n) ^ BigInt(next());
    const value = edge ? (next() < 0 ? most : -most) : random % (most + 1n);
    const word = (i: number) => Number(BigInt.asIntN(32, value >> BigInt(32 * i)));
    builder.push128(word(0), word(1), word(2), word(3));
  } else if (type.kind === 'int16') builder.push32(edge ? -32_768 : next() >> 16);
  else if (type.kind === 'time') builder.push64(0, next() >>> 1);
  else if (type.kind === 'int64' || type.kind === 'float64' || type.kind === 'timestamp') {
    builder.push64(edge ? -0x8000_0000 : next(), edge ? 0 : next());
  } else builder.push32(edge ? -0x8000_0000 : next());
}

function fill(rows: number, nulls: number, seed: number): BatchBuilder {
  const batch = new BatchBuilder(COLUMNS);
  const random = words(seed);
  const next = () => random.next().value;
  for (let row = 0; row < rows; row++) {
    for (const [i, builder] of batch.builders.entries()) {
      if ((next() >>> 0) % 100 < nulls) builder.pushNull();
      else push(builder, i === TYPES.length, next);
    }
  }
  return batch;
}

const names = COLUMNS.map(({ name }) => name);

test.each([
  [1, 0],
  [7, 30],
  [8, 100],
  [30_001, 0],
  [30_001, 20],
  [30_001, 97],
])('%d rows, %d of 100 null: every value of every type comes back', async (rows, nulls) => {
  const pieces: Uint8Array[] = [];
  const file = new ParquetFile({ compression: 'snappy' }, (more) => void pieces.push(...more));
  const expected: unknown[] = [];
  for (const seed of [1, 2]) {
    expected.push(...rowTexts(tableFromIPC(fill(rows, nulls, seed).takeIpc()), names));
    await file.write(fill(rows, nulls, seed));
  }
  await file.end();
  const bytes = Buffer.concat(pieces);
  const found = [...rowTexts(tableFromIPC(readParquet(bytes).intoIPCStream()), names)];
  expect(found.length).toBe(expected.length);
  // Of many rows the first that differs says more than all.
  const different = found.findIndex((row, i) => JSON.stringify(row) !== JSON.stringify(expected[i]));
  expect(found[different]).toEqual(expected[different]);
  expect(different).toBe(-1);
});

test('bounds are those of the values, and nulls are counted', async () => {
  const pieces: Uint8Array[] = [];
  const file = new ParquetFile({ compression: 'zstd' }, (more) => void pieces.push(...more));
  await file.write(fill(5000, 20, 3));
  await file.end();
  const buffer = new Uint8Array(Buffer.concat(pieces)).buffer;
  const rows = await parquetReadObjects({ file: buffer, compressors });
  const { row_groups } = parquetMetadata(buffer);
  const checked: string[] = [];
  for (const [i, { meta_data }] of row_groups[0]!.columns.entries()) {
    const { kind } = COLUMNS[i]!.type;
    const { null_count, min_value, max_value } = meta_data!.statistics!;
    const values = rows.map((row) => row[names[i]!]).filter((value) => value !== null);
    expect(Number(null_count)).toBe(5000 - values.length);
    if (!['int16', 'int32', 'int64', 'text'].includes(kind)) continue;
    const ordered = (values as (string | number | bigint)[]).toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    if (min_value === undefined) continue;
    checked.push(kind);
    expect([min_value, max_value]).toEqual([ordered[0], ordered.at(-1)]);
  }
  expect(checked).toEqual(['int16', 'int32', 'int64', 'text']);
});
