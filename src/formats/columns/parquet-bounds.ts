/** The smallest and the largest value of a column of a row group, by which readers skip it. */

import type { BytesBuilder, ColumnBuilder, FixedBuilder } from './column-builder.ts';
import type { ColumnType } from './column-type.ts';

/** PLAIN encoding, without a length. */
export interface Bounds {
  readonly min: Uint8Array;
  readonly max: Uint8Array;
}

/** Of all rows that were added; undefined where there are none. */
export interface BoundsOf {
  add(builder: ColumnBuilder): void;
  readonly bounds: Bounds | undefined;
}

/** Undefined for types without an order that all agree on. */
export function newBounds({ kind }: ColumnType): BoundsOf | undefined {
  switch (kind) {
    case 'int16':
    case 'int32':
    case 'date':
      return new Bounds32();
    case 'int64':
    case 'time':
    case 'timestamp':
      return new Bounds64();
    case 'text':
      return new TextBounds();
    default:
      return undefined;
  }
}

/**
 * Rows that are looked at in one call: the loop over all of them would be compiled anew for each batch, while it runs,
 * and not for the next one.
 */
const ROWS_AT_ONCE = 1024;

class Bounds32 implements BoundsOf {
  #min = 0x7fff_ffff;
  #max = -0x8000_0000;

  add(builder: FixedBuilder): void {
    for (let from = 0; from < builder.length; from += ROWS_AT_ONCE) {
      this.#scan(builder, from, Math.min(builder.length, from + ROWS_AT_ONCE));
    }
  }

  get bounds(): Bounds | undefined {
    if (this.#min > this.#max) return undefined;
    return { min: bytesOf(this.#min), max: bytesOf(this.#max) };
  }

  #scan(builder: FixedBuilder, from: number, to: number): void {
    const { words, nullCount } = builder;
    for (let i = from; i < to; i++) {
      if (nullCount > 0 && builder.isNull(i)) continue;
      const value = words[i]!;
      if (value < this.#min) this.#min = value;
      if (value > this.#max) this.#max = value;
    }
  }
}

class Bounds64 implements BoundsOf {
  #isEmpty = true;
  #minHigh = 0;
  #minLow = 0;
  #maxHigh = 0;
  #maxLow = 0;

  add(builder: FixedBuilder): void {
    for (let from = 0; from < builder.length; from += ROWS_AT_ONCE) {
      this.#scan(builder, from, Math.min(builder.length, from + ROWS_AT_ONCE));
    }
  }

  get bounds(): Bounds | undefined {
    if (this.#isEmpty) return undefined;
    return { min: bytesOf(this.#minLow, this.#minHigh), max: bytesOf(this.#maxLow, this.#maxHigh) };
  }

  #scan(builder: FixedBuilder, from: number, to: number): void {
    const { words, nullCount } = builder;
    for (let i = from; i < to; i++) {
      if (nullCount > 0 && builder.isNull(i)) continue;
      const low = words[2 * i]!;
      const high = words[2 * i + 1]!;
      if (
        this.#isEmpty ||
        high < this.#minHigh ||
        (high === this.#minHigh && low >>> 0 < this.#minLow >>> 0)
      ) {
        this.#minHigh = high;
        this.#minLow = low;
      }
      if (
        this.#isEmpty ||
        high > this.#maxHigh ||
        (high === this.#maxHigh && low >>> 0 > this.#maxLow >>> 0)
      ) {
        this.#maxHigh = high;
        this.#maxLow = low;
      }
      this.#isEmpty = false;
    }
  }
}

function bytesOf(...words: number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(words).buffer);
}

/** Longer bounds would make the footer large. */
const BOUND_BYTES_MAX = 64;
/** Of a column of longer values they help nobody. */
const BOUND_BYTES_MEAN = 40;

class TextBounds implements BoundsOf {
  #bounds: Bounds | undefined;
  #isGivenUp = false;

  add(builder: BytesBuilder): void {
    const values = builder.length - builder.nullCount;
    if (values === 0 || this.#isGivenUp) return;
    this.#isGivenUp = builder.bytes > BOUND_BYTES_MEAN * values;
    if (this.#isGivenUp) return;
    const { view, offsets } = builder.memory;
    const found = { min: -1, max: -1, minHead: 0, maxHead: 0 };
    for (let from = 0; from < builder.length; from += ROWS_AT_ONCE) {
      scanTexts(builder, view, offsets, from, Math.min(builder.length, from + ROWS_AT_ONCE), found);
    }
    this.#take(builder.bytesAt(found.min), builder.bytesAt(found.max));
  }

  get bounds(): Bounds | undefined {
    return this.#isGivenUp ? undefined : this.#bounds;
  }

  #take(min: Uint8Array, max: Uint8Array): void {
    this.#isGivenUp = Math.max(min.byteLength, max.byteLength) > BOUND_BYTES_MAX;
    const before = this.#bounds;
    this.#bounds = {
      min: before !== undefined && Buffer.compare(before.min, min) <= 0 ? before.min : Buffer.from(min),
      max: before !== undefined && Buffer.compare(before.max, max) >= 0 ? before.max : Buffer.from(max),
    };
  }
}

/** Rows, and the first bytes of their values. */
interface Extremes {
  min: number;
  max: number;
  minHead: number;
  maxHead: number;
}

function scanTexts(
  builder: BytesBuilder,
  view: DataView,
  offsets: Int32Array,
  from: number,
  to: number,
  found: Extremes,
): void {
  let { min, max, minHead, maxHead } = found;
  for (let i = from; i < to; i++) {
    if (builder.nullCount > 0 && builder.isNull(i)) continue;
    const head = headOf(view, offsets[i]! + PREFIX, offsets[i + 1]!);
    if (min < 0 || head < minHead || (head === minHead && compare(view, offsets, i, min) < 0)) {
      min = i;
      minHead = head;
    }
    if (max < 0 || head > maxHead || (head === maxHead && compare(view, offsets, i, max) > 0)) {
      max = i;
      maxHead = head;
    }
  }
  Object.assign(found, { min, max, minHead, maxHead });
}

/** Of a value's length. */
const PREFIX = 4;
const HEAD = 4;
const SIGN = -0x8000_0000;

/** The first bytes as a number of 32 bits with a sign: where it differs, the values are in its order. */
function headOf(view: DataView, at: number, end: number): number {
  if (at + HEAD <= end) return view.getInt32(at) ^ SIGN;
  let head = 0;
  for (let i = at; i < at + HEAD; i++) head = (head << 8) | (i < end ? view.getUint8(i) : 0);
  return head ^ SIGN;
}

/** How two values compare, byte by byte. */
function compare(view: DataView, offsets: Int32Array, a: number, b: number): number {
  let atA = offsets[a]! + PREFIX;
  let atB = offsets[b]! + PREFIX;
  const endA = offsets[a + 1]!;
  const endB = offsets[b + 1]!;
  while (atA < endA && atB < endB) {
    const difference = view.getUint8(atA++) - view.getUint8(atB++);
    if (difference !== 0) return difference;
  }
  return endA - atA - (endB - atB);
}
