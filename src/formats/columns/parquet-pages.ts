/**
 * Columns as pages of Parquet: the memory of a builder is the PLAIN encoding already, and its validity bitmap is a
 * bit-packed run of definition levels. Reference: Encodings.md of Apache Parquet.
 */

import { BooleanBuilder, BytesBuilder, type ColumnBuilder, FixedBuilder } from './column-builder.ts';
import { type Indexes, indexBytesMax, writeIndexes } from './parquet-dictionary.ts';
import { PHYSICAL, parquetType } from './parquet-schema.ts';
import { writeVarint } from './varint.ts';

/** Gives memory of at least so many bytes for one page. */
export type PageMemory = (bytes: number) => Uint8Array;

const PAGE_BYTES = 1024 ** 2;

/** Ranges of rows, each about as large as a page; they begin at a byte of the bitmap. */
export function pageRanges(builder: ColumnBuilder): { readonly from: number; readonly to: number }[] {
  const { length, bytes } = builder;
  const rows = Math.max(8, Math.floor(PAGE_BYTES / Math.max(1, bytes / Math.max(1, length)) / 8) * 8);
  const ranges: { from: number; to: number }[] = [];
  for (let from = 0; from < length; from += rows) ranges.push({ from, to: Math.min(from + rows, length) });
  return ranges;
}

/** A data page of the first version: length of the levels, levels, values. */
export function dataPage(
  builder: ColumnBuilder,
  from: number,
  to: number,
  indexes: Indexes | undefined,
  memory: PageMemory,
): Uint8Array {
  const nulls = builder.nullsIn(from, to);
  const levelsMax = LENGTH_BYTES + VARINT_MAX + ((to - from + 7) >> 3);
  const values = to - from - nulls;
  const valuesMax = indexes === undefined ? plainBytesMax(builder, from, to) : indexBytesMax(indexes, values);
  const page = memory(levelsMax + valuesMax);
  const at = writeLevels(page, builder, from, to, nulls);
  const end =
    indexes === undefined
      ? writePlain(page, at, builder, from, to, nulls)
      : writeIndexes(page, at, indexes, from - builder.nullsIn(0, from), values);
  return page.subarray(0, end);
}

/** Of the levels, before them. */
const LENGTH_BYTES = 4;
const VARINT_MAX = 5;

/** 1 where there is a value, 0 for a null: as one run where all are alike. @returns where they end */
function writeLevels(
  page: Uint8Array,
  builder: ColumnBuilder,
  from: number,
  to: number,
  nulls: number,
): number {
  let at = LENGTH_BYTES;
  if (nulls === 0 || nulls === to - from) {
    at = writeVarint(page, at, (to - from) * 2);
    page[at++] = nulls === 0 ? 1 : 0;
  } else {
    const bits = builder.validityBytes(from, to);
    at = writeVarint(page, at, bits.byteLength * 2 + 1);
    page.set(bits, at);
    at += bits.byteLength;
  }
  const length = at - LENGTH_BYTES;
  for (let i = 0; i < LENGTH_BYTES; i++) page[i] = length >> (8 * i);
  return at;
}

function plainBytesMax(builder: ColumnBuilder, from: number, to: number): number {
  if (builder instanceof BytesBuilder) return builder.prefixedBytes(from, to).byteLength;
  if (builder instanceof FixedBuilder) return (to - from) * builder.wordsEach * 4;
  return (to - from + 7) >> 3;
}

/** The values that are not null. @returns where they end */
function writePlain(
  page: Uint8Array,
  at: number,
  builder: ColumnBuilder,
  from: number,
  to: number,
  nulls: number,
): number {
  if (builder instanceof BytesBuilder) return writeBytes(page, at, builder.prefixedBytes(from, to));
  if (builder instanceof BooleanBuilder) return writeBooleans(page, at, builder, from, to, nulls);
  if (!(builder instanceof FixedBuilder)) throw new TypeError(`no page for ${builder.type.kind}`);
  const { words, wordsEach } = builder;
  const { physical, length = 0 } = parquetType(builder.type);
  if (physical === PHYSICAL.fixed) return writeBigEndian(page, at, builder, from, to, length);
  const taken = builder.type.kind !== 'decimal' ? wordsEach : physical === PHYSICAL.int64 ? 2 : 1;
  if (taken !== wordsEach || nulls > 0) return writeLowWords(page, at, builder, from, to, taken);
  return writeBytes(page, at, bytesOf(words.subarray(from * wordsEach, to * wordsEach)));
}

function writeBytes(page: Uint8Array, at: number, bytes: Uint8Array): number {
  page.set(bytes, at);
  return at + bytes.byteLength;
}

function writeLowWords(
  page: Uint8Array,
  at: number,
  builder: FixedBuilder,
  from: number,
  to: number,
  taken: number,
): number {
  const { words, wordsEach, nullCount } = builder;
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  let end = at;
  for (let i = from; i < to; i++) {
    if (nullCount > 0 && builder.isNull(i)) continue;
    view.setInt32(end, words[i * wordsEach]!, true);
    if (taken === 2) view.setInt32(end + 4, words[i * wordsEach + 1]!, true);
    end += taken * 4;
  }
  return end;
}

/** Two's complement, the most significant byte first. */
function writeBigEndian(
  page: Uint8Array,
  at: number,
  builder: FixedBuilder,
  from: number,
  to: number,
  length: number,
): number {
  const { words } = builder;
  let end = at;
  for (let i = from; i < to; i++) {
    if (builder.isNull(i)) continue;
    end += length;
    for (let byte = 0; byte < length; byte++) {
      page[end - 1 - byte] = words[i * 4 + (byte >> 2)]! >> ((byte & 3) * 8);
    }
  }
  return end;
}

function writeBooleans(
  page: Uint8Array,
  at: number,
  builder: BooleanBuilder,
  from: number,
  to: number,
  nulls: number,
): number {
  const bytes = (to - from - nulls + 7) >> 3;
  if (nulls === 0) page.set(builder.bits.subarray(from >> 3, (to + 7) >> 3), at);
  else {
    page.fill(0, at, at + bytes);
    let count = 0;
    for (let i = from; i < to; i++) {
      if (builder.isNull(i)) continue;
      if (builder.valueAt(i)) page[at + (count >> 3)]! |= 1 << (count & 7);
      count++;
    }
  }
  // What lies behind the last value is 0, so that equal rows make equal files.
  const rest = (to - from - nulls) & 7;
  if (rest > 0) page[at + bytes - 1]! &= (1 << rest) - 1;
  return at + bytes;
}

function bytesOf(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
