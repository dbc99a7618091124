/**
 * Builders of columns in Arrow's layout: a validity bitmap, and values of a fixed width or offsets into bytes. They
 * grow as they are filled, and are filled again after `clear`. Reference: the Arrow columnar format.
 */

import { type Data, makeData } from 'apache-arrow';
import { arrowType, type ColumnType } from './column-type.ts';

const ROWS_START = 1024;
const BYTES_START = 16 * 1024;

/** What all builders have. `bytes` is about what the column takes now. */
export abstract class ColumnBuilder {
  readonly type: ColumnType;
  length = 0;
  nullCount = 0;
  /** Bits are cleared for nulls; those of values are set beforehand. */
  protected validity = new Uint8Array(ROWS_START / 8).fill(0xff);
  protected capacity = ROWS_START;

  constructor(type: ColumnType) {
    this.type = type;
  }

  abstract get bytes(): number;

  pushNull(): void {
    if (this.length === this.capacity) this.growRows();
    this.setEmpty(this.length);
    this.validity[this.length >> 3]! &= ~(1 << (this.length & 7));
    this.nullCount++;
    this.length++;
  }

  /** Takes back the last value; of a row that was begun and is not wanted. */
  abstract truncate(length: number): void;

  /** The column as Arrow has it: a view of the builder's memory, good until it is filled again. */
  abstract finish(): Data;

  /** Whether the value at an index is null. */
  isNull(index: number): boolean {
    return (this.validity[index >> 3]! & (1 << (index & 7))) === 0;
  }

  clear(): void {
    this.truncate(0);
  }

  /** Bits of the values from `from` on, which is a multiple of 8; 1 where there is one. */
  validityBytes(from: number, to: number): Uint8Array {
    return this.validity.subarray(from >> 3, (to + 7) >> 3);
  }

  nullsIn(from: number, to: number): number {
    if (this.nullCount === 0) return 0;
    let count = 0;
    for (let i = from; i < to; i++) if (this.isNull(i)) count++;
    return count;
  }

  /** Writes what stands in the place of a null. */
  protected abstract setEmpty(index: number): void;

  protected growRows(): void {
    this.capacity *= 2;
    const validity = new Uint8Array(this.capacity / 8).fill(0xff);
    validity.set(this.validity);
    this.validity = validity;
  }

  /** Forgets the nulls from an index on. */
  protected truncateValidity(length: number): void {
    for (let i = length; i < this.length; i++) {
      if (!this.isNull(i)) continue;
      this.validity[i >> 3]! |= 1 << (i & 7);
      this.nullCount--;
    }
    this.length = length;
  }

  protected nulls(): { length: number; nullCount: number; nullBitmap?: Uint8Array } {
    const { length, nullCount } = this;
    return nullCount === 0
      ? { length, nullCount }
      : { length, nullCount, nullBitmap: this.validity.subarray(0, (length + 7) >> 3) };
  }
}

/** Values of 1, 2 or 4 words of 32 bits, the least significant word first. */
export class FixedBuilder extends ColumnBuilder {
  readonly #words: number;
  #values: Int32Array;

  constructor(type: ColumnType) {
    super(type);
    this.#words = wordsOf(type);
    this.#values = new Int32Array(ROWS_START * this.#words);
  }

  get bytes(): number {
    return this.length * this.#words * 4;
  }

  /** Of all values, in the order of bytes of this machine, which is that of files: the least significant first. */
  get words(): Int32Array {
    return this.#values;
  }

  get wordsEach(): number {
    return this.#words;
  }

  push32(value: number): void {
    if (this.length === this.capacity) this.growRows();
    this.#values[this.length++] = value;
  }

  push64(high: number, low: number): void {
    if (this.length === this.capacity) this.growRows();
    const at = 2 * this.length++;
    this.#values[at] = low;
    this.#values[at + 1] = high;
  }

  /** Four words, the least significant first. */
  push128(w0: number, w1: number, w2: number, w3: number): void {
    if (this.length === this.capacity) this.growRows();
    const at = 4 * this.length++;
    this.#values[at] = w0;
    this.#values[at + 1] = w1;
    this.#values[at + 2] = w2;
    this.#values[at + 3] = w3;
  }

  truncate(length: number): void {
    this.truncateValidity(length);
  }

  finish(): Data {
    const { kind } = this.type;
    const words = this.#values.subarray(0, this.length * this.#words);
    const { buffer, byteOffset } = words;
    let data: Int16Array | Int32Array | BigInt64Array | Float32Array | Float64Array | Uint32Array = words;
    if (kind === 'int16') data = Int16Array.from(words);
    else if (kind === 'float32') data = new Float32Array(buffer, byteOffset, this.length);
    else if (kind === 'float64') data = new Float64Array(buffer, byteOffset, this.length);
    else if (kind === 'decimal') data = new Uint32Array(buffer, byteOffset, words.length);
    else if (this.#words === 2) data = new BigInt64Array(buffer, byteOffset, this.length);
    return makeData({ type: arrowType(this.type), ...this.nulls(), data } as never);
  }

  protected setEmpty(index: number): void {
    const at = index * this.#words;
    this.#values.fill(0, at, at + this.#words);
  }

  protected override growRows(): void {
    super.growRows();
    const values = new Int32Array(this.capacity * this.#words);
    values.set(this.#values);
    this.#values = values;
  }
}

function wordsOf({ kind }: ColumnType): number {
  if (kind === 'decimal') return 4;
  return kind === 'int64' || kind === 'float64' || kind === 'time' || kind === 'timestamp' ? 2 : 1;
}

/** True and false, a bit each. */
export class BooleanBuilder extends ColumnBuilder {
  #bits = new Uint8Array(ROWS_START / 8);

  get bytes(): number {
    return this.length >> 3;
  }

  valueAt(index: number): boolean {
    return (this.#bits[index >> 3]! & (1 << (index & 7))) !== 0;
  }

  push(value: boolean): void {
    if (this.length === this.capacity) this.growRows();
    const at = this.length >> 3;
    const bit = 1 << (this.length++ & 7);
    if (value) this.#bits[at]! |= bit;
    else this.#bits[at]! &= ~bit;
  }

  truncate(length: number): void {
    this.truncateValidity(length);
  }

  finish(): Data {
    const data = this.#bits.subarray(0, (this.length + 7) >> 3);
    return makeData({ type: arrowType(this.type), ...this.nulls(), data } as never);
  }

  protected setEmpty(index: number): void {
    this.#bits[index >> 3]! &= ~(1 << (index & 7));
  }

  protected override growRows(): void {
    super.growRows();
    const bits = new Uint8Array(this.capacity / 8);
    bits.set(this.#bits);
    this.#bits = bits;
  }
}

/**
 * Text in UTF-8, or bytes: each value behind its length in four bytes, the least significant first, as Parquet's PLAIN
 * encoding has it; a null takes none.
 */
export class BytesBuilder extends ColumnBuilder {
  /** Where values begin, with their prefixes. */
  #offsets = new Int32Array(ROWS_START + 1);
  #data = Buffer.allocUnsafeSlow(BYTES_START);
  #end = 0;

  get bytes(): number {
    return this.#end;
  }

  /** Copies `length` bytes from `at` on. */
  push(bytes: Buffer, at: number, length: number): void {
    const data = this.reserve(length);
    let to = this.end;
    if (length <= SHORT) for (let i = at; i < at + length; i++) data[to++] = bytes[i]!;
    else to += bytes.copy(data, to, at, at + length);
    this.pushed(to);
  }

  pushText(text: string): void {
    // A character is at most three bytes of UTF-8 for each of its units of UTF-16.
    const data = this.reserve(text.length * 3);
    this.pushed(this.end + data.write(text, this.end, 'utf8'));
  }

  /** Room for so many bytes behind {@link end}, to be written in place and then told of with {@link pushed}. */
  reserve(length: number): Buffer {
    if (this.end + length > this.#data.byteLength) this.#growData(PREFIX + length);
    return this.#data;
  }

  get end(): number {
    return this.#end + PREFIX;
  }

  /** Ends the value that was written in place, behind its last byte. */
  pushed(end: number): void {
    if (this.length === this.capacity) this.growRows();
    const length = end - this.#end - PREFIX;
    const data = this.#data;
    data[this.#end] = length;
    data[this.#end + 1] = length >> 8;
    data[this.#end + 2] = length >> 16;
    data[this.#end + 3] = length >> 24;
    this.#end = end;
    this.#offsets[++this.length] = end;
  }

  /** The value at an index as text; '' for a null. */
  textAt(index: number): string {
    return this.#data.toString('utf8', this.#offsets[index]! + PREFIX, this.#offsets[index + 1]);
  }

  /** As text of a character a byte. */
  latin1At(index: number): string {
    return this.#data.toString('latin1', this.#offsets[index]! + PREFIX, this.#offsets[index + 1]);
  }

  /** The bytes of the value at an index, which is not null. */
  bytesAt(index: number): Uint8Array {
    return this.#data.subarray(this.#offsets[index]! + PREFIX, this.#offsets[index + 1]);
  }

  /** Values with their prefixes; nothing for nulls. */
  prefixedBytes(from: number, to: number): Uint8Array {
    return this.#data.subarray(this.#offsets[from], this.#offsets[to]);
  }

  /** How two values that are not null compare, byte by byte. */
  compare(a: number, b: number): number {
    const data = this.#data;
    let atA = this.#offsets[a]! + PREFIX;
    let atB = this.#offsets[b]! + PREFIX;
    const endA = this.#offsets[a + 1]!;
    const endB = this.#offsets[b + 1]!;
    while (atA < endA && atB < endB) {
      const difference = data[atA++]! - data[atB++]!;
      if (difference !== 0) return difference;
    }
    return endA - atA - (endB - atB);
  }

  truncate(length: number): void {
    this.truncateValidity(length);
    this.#end = this.#offsets[length]!;
  }

  finish(): Data {
    const valueOffsets = new Int32Array(this.length + 1);
    const data = new Uint8Array(this.#end);
    for (let i = 0; i < this.length; i++) {
      const bytes = this.isNull(i) ? EMPTY : this.bytesAt(i);
      data.set(bytes, valueOffsets[i]);
      valueOffsets[i + 1] = valueOffsets[i]! + bytes.byteLength;
    }
    return makeData({ type: arrowType(this.type), ...this.nulls(), valueOffsets, data } as never);
  }

  protected setEmpty(index: number): void {
    this.#offsets[index + 1] = this.#end;
  }

  protected override growRows(): void {
    super.growRows();
    const offsets = new Int32Array(this.capacity + 1);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
  }

  #growData(length: number): void {
    let capacity = this.#data.byteLength * 2;
    while (capacity < this.#end + length) capacity *= 2;
    const data = Buffer.allocUnsafeSlow(capacity);
    data.set(this.#data.subarray(0, this.#end));
    this.#data = data;
  }
}

/** Below this a loop is quicker than a call. */
const SHORT = 48;
/** Of a value's length. */
const PREFIX = 4;
const EMPTY = new Uint8Array();

export function newBuilder(type: ColumnType): ColumnBuilder {
  if (type.kind === 'boolean') return new BooleanBuilder(type);
  return type.kind === 'text' || type.kind === 'binary' ? new BytesBuilder(type) : new FixedBuilder(type);
}
