/** The dictionary of a column of a row group: each value once, and for each row the place of its value. */

import { BytesBuilder } from './column-builder.ts';
import { writeVarint } from './varint.ts';

/** Of the values of some rows that are not null, in order. */
export interface Indexes {
  readonly places: Uint16Array;
  /** Bits that hold any of them. */
  readonly width: number;
}

const VALUES_MAX = 0xffff;
/** A dictionary with more values than this share of the rows does not pay. */
const VALUES_SHARE = 1 / 4;

/** A hash table on the bytes of values: a string for each row would cost more than all else. */
export class Dictionary {
  readonly #values = new BytesBuilder({ kind: 'binary' });
  /** Places plus one; a power of two of them, at most half of them taken. */
  #slots = new Int32Array(1024);
  #rows = 0;
  #isFull = false;

  /** How many values it has. */
  get size(): number {
    return this.#values.length;
  }

  /** The values in PLAIN encoding. */
  get bytes(): Uint8Array {
    return this.#values.prefixedBytes(0, this.size);
  }

  /** Takes the values of a builder in. @returns undefined where they are so many that it does not pay, from then on */
  indexesOf(builder: BytesBuilder): Indexes | undefined {
    if (this.#isFull || builder.nullCount === builder.length) return undefined;
    this.#rows += builder.length;
    const before = this.size;
    const most = Math.min(VALUES_MAX, Math.ceil(this.#rows * VALUES_SHARE));
    const places = new Uint16Array(builder.length - builder.nullCount);
    const { view, offsets } = builder.memory;
    let count = 0;
    for (let row = 0; row < builder.length; row++) {
      if (builder.nullCount > 0 && builder.isNull(row)) continue;
      places[count++] = this.#placeOf(view, offsets[row]!, offsets[row + 1]!);
      if (this.size > most) {
        this.#values.truncate(before);
        this.#isFull = true;
        return undefined;
      }
    }
    return { places, width: Math.max(1, 32 - Math.clz32(this.size - 1)) };
  }

  /** The place of a value, a new one where it has none. */
  #placeOf(view: DataView, at: number, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hashOf(view, at, end) & mask;
    for (; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const place = slots[slot]! - 1;
      const { memory } = this.#values;
      if (equal(view, at, end, memory.view, memory.offsets[place]!, memory.offsets[place + 1]!)) return place;
    }
    this.#values.pushFrom(view, at + PREFIX, end - at - PREFIX);
    slots[slot] = this.size;
    if (this.size * 2 > slots.length) this.#grow();
    return this.size - 1;
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const { view, offsets } = this.#values.memory;
    for (let place = 0; place < this.size; place++) {
      let slot = hashOf(view, offsets[place]!, offsets[place + 1]!) & (slots.length - 1);
      while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1);
      slots[slot] = place + 1;
    }
    this.#slots = slots;
  }
}

/** Of a value's length. */
const PREFIX = 4;

/** Of a value with its length (FNV-1a). */
function hashOf(view: DataView, from: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < end; at++) hash = Math.imul(hash ^ view.getUint8(at), 0x01000193);
  return hash ^ (hash >>> 16);
}

function equal(a: DataView, fromA: number, endA: number, b: DataView, fromB: number, endB: number): boolean {
  if (endA - fromA !== endB - fromB) return false;
  for (let i = 0; i < endA - fromA; i++) if (a.getUint8(fromA + i) !== b.getUint8(fromB + i)) return false;
  return true;
}

/** The width of an index, and the length of the run. */
const HEADER_MAX = 6;

export function indexBytesMax({ width }: Indexes, count: number): number {
  return HEADER_MAX + ((count + 7) >> 3) * width;
}

/** The width of an index in bits, then one bit-packed run of `count` indexes. @returns where it ends */
export function writeIndexes(
  page: Uint8Array,
  start: number,
  { places, width }: Indexes,
  first: number,
  count: number,
): number {
  const groups = (count + 7) >> 3;
  page[start] = width;
  let at = writeVarint(page, start + 1, groups * 2 + 1);
  const end = at + groups * width;
  let bits = 0;
  let held = 0;
  for (let i = first; i < first + count; i++) {
    bits |= places[i]! << held;
    held += width;
    for (; held >= 8; held -= 8) {
      page[at++] = bits;
      bits >>>= 8;
    }
  }
  if (held > 0) page[at++] = bits;
  page.fill(0, at, end);
  return end;
}
