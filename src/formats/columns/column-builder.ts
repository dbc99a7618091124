/**
 * Builders of columns: a validity bitmap, and values of a fixed width or behind their lengths, as they stand in a file.
 * They grow as they are filled, and are filled again after `clear`.
 */

import type { ColumnType } from './column-type.ts';

const ROWS_START = 1024;
const BYTES_START = 16 * 1024;
const RETAINED_MAX = 64 * 1024 ** 2;

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

  /** Whether the value at an index is null. */
  isNull(index: number): boolean {
    return (this.validity[index >> 3]! & (1 << (index & 7))) === 0;
  }

  clear(): void {
    this.truncate(0);
  }

  /** As `clear`, and gives back the memory that it has grown to. */
  shrink(): void {
    this.clear();
    this.capacity = ROWS_START;
    this.validity = new Uint8Array(ROWS_START / 8).fill(0xff);
  }

  /** Bits of the values from `from` on, which is a multiple of 8; 1 where there is one. */
  validityBytes(from: number, to: number): Uint8Array {
    return this.validity.subarray(from >> 3, (to + 7) >> 3);
  }

  /** From a multiple of 8 to another, or to the end. */
  nullsIn(from: number, to: number): number {
    if (this.nullCount === 0) return 0;
    if (this.nullCount === this.length) return to - from;
    let count = 0;
    // Bits behind the last value are set.
    for (const bits of this.validityBytes(from, to)) count += ZEROS[bits]!;
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
    if (length === 0 && this.nullCount > 0) {
      this.validity.fill(0xff, 0, (this.length + 7) >> 3);
      this.nullCount = 0;
    }
    for (let i = length; i < this.length && this.nullCount > 0; i++) {
      if (!this.isNull(i)) continue;
      this.validity[i >> 3]! |= 1 << (i & 7);
      this.nullCount--;
    }
    this.length = length;
  }
}

/** Of each byte, how many of its bits are 0. */
const ZEROS = Uint8Array.from({ length: 256 }, (_, bits) => {
  let count = 8;
  for (let rest = bits; rest > 0; rest >>= 1) count -= rest & 1;
  return count;
});

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

  override shrink(): void {
    super.shrink();
    this.#values = new Int32Array(ROWS_START * this.#words);
  }

  protected setEmpty(index: number): void {
    const end = (index + 1) * this.#words;
    for (let at = index * this.#words; at < end; at++) this.#values[at] = 0;
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

  /** Of all values, and what was there before behind the last one. */
  get bits(): Uint8Array {
    return this.#bits;
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

  override shrink(): void {
    super.shrink();
    this.#bits = new Uint8Array(ROWS_START / 8);
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
  #data: Buffer = Buffer.allocUnsafeSlow(BYTES_START);
  #view: DataView = viewOf(this.#data);
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

  /** The same, from a view that is used for many values: a word at a time. */
  pushFrom(source: DataView, at: number, length: number): void {
    if (this.#end + PREFIX + length + WORD > this.#data.byteLength) this.#growData(PREFIX + length + WORD);
    const from = this.#end + PREFIX;
    if (length <= WORDWISE_MAX && at + length + WORD <= source.byteLength) {
      const view = this.#view;
      // The last word may reach over the end of the value, where the next one is written.
      for (let i = 0; i < length; i += WORD) view.setInt32(from + i, source.getInt32(at + i, true), true);
    } else this.#data.set(new Uint8Array(source.buffer, source.byteOffset + at, length), from);
    this.pushed(from + length);
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

  /** The same, as a view. */
  reserveView(length: number): DataView {
    if (this.end + length > this.#data.byteLength) this.#growData(PREFIX + length);
    return this.#view;
  }

  get end(): number {
    return this.#end + PREFIX;
  }

  /** Ends the value that was written in place, behind its last byte. */
  pushed(end: number): void {
    if (this.length === this.capacity) this.growRows();
    this.#view.setInt32(this.#end, end - this.#end - PREFIX, true);
    this.#end = end;
    this.#offsets[++this.length] = end;
  }

  /** The value at an index as text; '' for a null. */
  textAt(index: number): string {
    return this.#data.toString('utf8', this.#offsets[index]! + PREFIX, this.#offsets[index + 1]);
  }

  /** The bytes of the value at an index, which is not null. */
  bytesAt(index: number): Uint8Array {
    return this.#data.subarray(this.#offsets[index]! + PREFIX, this.#offsets[index + 1]);
  }

  /** Values with their prefixes; nothing for nulls. */
  prefixedBytes(from: number, to: number): Uint8Array {
    return this.#data.subarray(this.#offsets[from], this.#offsets[to]);
  }

  /** All values with their prefixes, and where each begins. */
  get memory(): { readonly view: DataView; readonly offsets: Int32Array } {
    return { view: this.#view, offsets: this.#offsets };
  }

  truncate(length: number): void {
    this.truncateValidity(length);
    this.#end = this.#offsets[length]!;
  }

  override clear(): void {
    super.clear();
    // What a few large values needed is not kept for good.
    if (this.#data.byteLength > RETAINED_MAX) this.#setData(Buffer.allocUnsafeSlow(BYTES_START));
  }

  override shrink(): void {
    super.shrink();
    this.#offsets = new Int32Array(ROWS_START + 1);
    this.#setData(Buffer.allocUnsafeSlow(BYTES_START));
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
    this.#setData(data);
  }

  #setData(data: Buffer): void {
    this.#data = data;
    this.#view = viewOf(data);
  }
}

/** Below this a loop is quicker than a call. */
const SHORT = 48;
const WORDWISE_MAX = 256;
const WORD = 4;
/** Of a value's length. */
const PREFIX = 4;

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

export function newBuilder(type: ColumnType): ColumnBuilder {
  if (type.kind === 'boolean') return new BooleanBuilder(type);
  return type.kind === 'text' || type.kind === 'binary' ? new BytesBuilder(type) : new FixedBuilder(type);
}
