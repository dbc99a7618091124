/**
 * A checksum of rows that does not depend on their order: the sum of a hash of each row's text. Two tables of the same
 * rows have the same one, however they were loaded. It finds what was lost, doubled, cut or changed by accident; it is no
 * proof against somebody who means to deceive.
 */

/** 64 bits, as two sums of 32. */
export class RowDigest {
  rows = 0;
  #low = 0;
  #high = 0;
  /** Of the row that has begun. */
  #rowLow = SEED_LOW;
  #rowHigh = SEED_HIGH;
  #rowBytes = 0;
  #bytes: Uint8Array = new Uint8Array();
  #view: DataView = new DataView(this.#bytes.buffer);

  /** Adds the row that lies there, without its end. @param from where it begins @param to behind its last byte */
  add(bytes: Uint8Array, from: number, to: number): void {
    let i = this.begin(bytes, from, to);
    const size = this.#rowBytes + to - i;
    let low = this.#rowLow;
    let high = this.#rowHigh;
    for (; i < to; i++) {
      low = Math.imul(low ^ bytes[i]!, PRIME_LOW);
      high = Math.imul(high ^ bytes[i]!, PRIME_HIGH);
    }
    this.#rowLow = SEED_LOW;
    this.#rowHigh = SEED_HIGH;
    this.#rowBytes = 0;
    const first = mixed(low ^ size);
    const second = mixed(high + first);
    this.rows++;
    this.#low = (this.#low + (first ^ second)) >>> 0;
    this.#high = (this.#high + second) >>> 0;
  }

  /**
   * Takes the beginning of a row that has not come whole; what it leaves is added with what comes next.
   * @returns up to where it was taken: by whole words
   */
  begin(bytes: Uint8Array, from: number, to: number): number {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const view = this.#view;
    // Words go to the two halves in turn: this is run for every byte of a database.
    let low = this.#rowLow;
    let high = this.#rowHigh;
    let i = from;
    for (const whole = to - 7; i < whole; i += 8) {
      low = Math.imul(low ^ view.getInt32(i, true), PRIME_LOW);
      low ^= low >>> 15;
      high = Math.imul(high ^ view.getInt32(i + 4, true), PRIME_HIGH);
      high ^= high >>> 13;
    }
    this.#rowLow = low;
    this.#rowHigh = high;
    this.#rowBytes += i - from;
    return i;
  }

  /** Adds what another one has, of other rows of the same table. */
  merge(other: RowDigest): void {
    this.rows += other.rows;
    this.#low = (this.#low + other.#low) >>> 0;
    this.#high = (this.#high + other.#high) >>> 0;
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return this.#high.toString(16).padStart(8, '0') + this.#low.toString(16).padStart(8, '0');
  }
}

const SEED_LOW = 0x811c9dc5;
const SEED_HIGH = 0x27d4eb2f;
const PRIME_LOW = 0x01000193;
const PRIME_HIGH = 0x85ebca6b;

/** Every bit of the hash in every bit of what is added: as the end of MurmurHash3 does. */
function mixed(hash: number): number {
  let mix = hash ^ (hash >>> 16);
  mix = Math.imul(mix, 0x85ebca6b);
  mix ^= mix >>> 13;
  mix = Math.imul(mix, 0xc2b2ae35);
  return (mix ^ (mix >>> 16)) >>> 0;
}
