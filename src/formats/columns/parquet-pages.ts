/**
 * Columns as pages of Parquet: the memory of a builder is the PLAIN encoding already, and its validity bitmap is a
 * bit-packed run of definition levels. Reference: Encodings.md of Apache Parquet.
 */

import { BooleanBuilder, BytesBuilder, type ColumnBuilder, FixedBuilder } from './column-builder.ts';
import { PHYSICAL, parquetType } from './parquet-schema.ts';
import { pushVarint } from './thrift-compact.ts';

export interface Page {
  readonly values: number;
  /** What stands in the page, to be compressed as one. */
  readonly parts: readonly Uint8Array[];
}

export interface Dictionary {
  readonly values: number;
  readonly bytes: Uint8Array;
  /** Of each value that is not null, in order. */
  readonly indexes: Uint16Array;
}

export interface Bounds {
  readonly min: Uint8Array;
  readonly max: Uint8Array;
}

const PAGE_BYTES = 1024 ** 2;
const DICTIONARY_VALUES_MAX = 0xffff;

/** Ranges of rows, each about as large as a page; they begin at a byte of the bitmap. */
export function pageRanges(builder: ColumnBuilder): { readonly from: number; readonly to: number }[] {
  const { length, bytes } = builder;
  const rows = Math.max(8, Math.floor(PAGE_BYTES / Math.max(1, bytes / Math.max(1, length)) / 8) * 8);
  const ranges: { from: number; to: number }[] = [];
  for (let from = 0; from < length; from += rows) ranges.push({ from, to: Math.min(from + rows, length) });
  return ranges;
}

/** A data page of the first version: length of the levels, levels, values. */
export function dataPage(builder: ColumnBuilder, from: number, to: number, dictionary?: Dictionary): Page {
  const levels = definitionLevels(builder, from, to);
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(levels.byteLength);
  const values =
    dictionary === undefined
      ? plainValues(builder, from, to)
      : dictionaryIndexes(builder, dictionary, from, to);
  return { values: to - from, parts: [length, levels, values] };
}

/** 1 where there is a value, 0 for a null. */
function definitionLevels(builder: ColumnBuilder, from: number, to: number): Uint8Array {
  const header: number[] = [];
  const bits = builder.validityBytes(from, to);
  if (builder.nullsIn(from, to) === 0) {
    pushVarint(header, BigInt(to - from) << 1n);
    return Uint8Array.from([...header, 1]);
  }
  pushVarint(header, (BigInt(bits.byteLength) << 1n) | 1n);
  return Buffer.concat([Uint8Array.from(header), bits]);
}

/** The values that are not null. */
export function plainValues(builder: ColumnBuilder, from: number, to: number): Uint8Array {
  if (builder instanceof BytesBuilder) return builder.prefixedBytes(from, to);
  if (builder instanceof BooleanBuilder) return booleans(builder, from, to);
  if (!(builder instanceof FixedBuilder)) throw new TypeError(`no page for ${builder.type.kind}`);
  const { type } = builder;
  const { physical, length = 0 } = parquetType(type);
  if (type.kind === 'decimal') {
    if (physical === PHYSICAL.fixed) return bigEndian(builder, from, to, length);
    return lowWords(builder, from, to, physical === PHYSICAL.int64 ? 2 : 1);
  }
  const width = builder.wordsEach;
  if (builder.nullsIn(from, to) > 0) return lowWords(builder, from, to, width);
  return bytesOf(builder.words.subarray(from * width, to * width));
}

function lowWords(builder: FixedBuilder, from: number, to: number, taken: number): Uint8Array {
  const { words, wordsEach } = builder;
  const values = new Int32Array((to - from) * taken);
  let count = 0;
  for (let i = from; i < to; i++) {
    if (builder.isNull(i)) continue;
    const at = i * wordsEach;
    values[count++] = words[at]!;
    if (taken === 2) values[count++] = words[at + 1]!;
  }
  return bytesOf(values.subarray(0, count));
}

/** Two's complement, the most significant byte first. */
function bigEndian(builder: FixedBuilder, from: number, to: number, length: number): Uint8Array {
  const { words } = builder;
  const values = new Uint8Array((to - from) * length);
  let end = 0;
  for (let i = from; i < to; i++) {
    if (builder.isNull(i)) continue;
    end += length;
    for (let byte = 0; byte < length; byte++) {
      values[end - 1 - byte] = words[i * 4 + (byte >> 2)]! >> ((byte & 3) * 8);
    }
  }
  return values.subarray(0, end);
}

function booleans(builder: BooleanBuilder, from: number, to: number): Uint8Array {
  const bits = new Uint8Array((to - from + 7) >> 3);
  let count = 0;
  for (let i = from; i < to; i++) {
    if (builder.isNull(i)) continue;
    if (builder.valueAt(i)) bits[count >> 3]! |= 1 << (count & 7);
    count++;
  }
  return bits.subarray(0, (count + 7) >> 3);
}

function bytesOf(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** @returns undefined where the values are so many that one does not pay */
export function dictionaryOf(builder: BytesBuilder): Dictionary | undefined {
  const places = new Map<string, number>();
  const indexes = new Uint16Array(builder.length - builder.nullCount);
  const values: Uint8Array[] = [];
  let count = 0;
  const most = Math.min(DICTIONARY_VALUES_MAX, Math.ceil(builder.length / 4));
  for (let i = 0; i < builder.length; i++) {
    if (builder.isNull(i)) continue;
    const key = builder.latin1At(i);
    let place = places.get(key);
    if (place === undefined) {
      place = places.size;
      if (place >= most) return undefined;
      places.set(key, place);
      values.push(builder.prefixedBytes(i, i + 1));
    }
    indexes[count++] = place;
  }
  return { values: values.length, bytes: Buffer.concat(values), indexes };
}

/** The width of an index in bits, then one bit-packed run. */
function dictionaryIndexes(
  builder: ColumnBuilder,
  dictionary: Dictionary,
  from: number,
  to: number,
): Uint8Array {
  const { indexes, values } = dictionary;
  const width = Math.max(1, 32 - Math.clz32(values - 1));
  const first = from - builder.nullsIn(0, from);
  const count = to - from - builder.nullsIn(from, to);
  const groups = (count + 7) >> 3;
  const header = [width];
  pushVarint(header, (BigInt(groups) << 1n) | 1n);
  const packed = new Uint8Array(header.length + groups * width);
  packed.set(header);
  let at = header.length;
  let bits = 0;
  let held = 0;
  for (let i = 0; i < count; i++) {
    bits |= indexes[first + i]! << held;
    held += width;
    for (; held >= 8; held -= 8) {
      packed[at++] = bits;
      bits >>>= 8;
    }
  }
  if (held > 0) packed[at] = bits;
  return packed;
}

/** Longer bounds would make the footer large. */
const BOUND_BYTES_MAX = 64;
/** Of a column of longer values they help nobody. */
const BOUND_BYTES_MEAN = 40;

/** Smallest and largest value of what readers skip row groups by; none for types without an order that all agree on. */
export function boundsOf(builder: ColumnBuilder): Bounds | undefined {
  if (builder.length === builder.nullCount) return undefined;
  if (builder instanceof BytesBuilder) return builder.type.kind === 'text' ? textBounds(builder) : undefined;
  if (!(builder instanceof FixedBuilder) || builder.wordsEach > 2) return undefined;
  const { kind } = builder.type;
  if (kind === 'float32' || kind === 'float64') return undefined;
  return builder.wordsEach === 1 ? bounds32(builder) : bounds64(builder);
}

function bounds32(builder: FixedBuilder): Bounds {
  const { words, length } = builder;
  let min = 0x7fff_ffff;
  let max = -0x8000_0000;
  for (let i = 0; i < length; i++) {
    if (builder.nullCount > 0 && builder.isNull(i)) continue;
    const value = words[i]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min: bytesOf(Int32Array.of(min)), max: bytesOf(Int32Array.of(max)) };
}

function bounds64(builder: FixedBuilder): Bounds {
  const { words, length } = builder;
  let min = -1;
  let max = -1;
  for (let i = 0; i < length; i++) {
    if (builder.nullCount > 0 && builder.isNull(i)) continue;
    if (min < 0 || less64(words, i, min)) min = i;
    if (max < 0 || less64(words, max, i)) max = i;
  }
  const at = (i: number) => bytesOf(words.slice(2 * i, 2 * i + 2));
  return { min: at(min), max: at(max) };
}

function less64(words: Int32Array, a: number, b: number): boolean {
  const [highA, highB] = [words[2 * a + 1]!, words[2 * b + 1]!];
  return highA < highB || (highA === highB && words[2 * a]! >>> 0 < words[2 * b]! >>> 0);
}

function textBounds(builder: BytesBuilder): Bounds | undefined {
  if (builder.bytes > BOUND_BYTES_MEAN * (builder.length - builder.nullCount)) return undefined;
  let min = -1;
  let max = -1;
  for (let i = 0; i < builder.length; i++) {
    if (builder.isNull(i)) continue;
    if (min < 0 || builder.compare(i, min) < 0) min = i;
    if (max < 0 || builder.compare(i, max) > 0) max = i;
  }
  const found = { min: Buffer.from(builder.bytesAt(min)), max: Buffer.from(builder.bytesAt(max)) };
  return Math.max(found.min.byteLength, found.max.byteLength) > BOUND_BYTES_MAX ? undefined : found;
}
