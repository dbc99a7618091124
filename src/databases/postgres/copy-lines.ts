/** Rows of COPY in text form, a line each, added to the digest of their table wherever pieces are cut. */

import type { RowDigest } from '../row-digest.ts';

const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
const DOT = 0x2e;
const LONG_BYTES = 1024 ** 2;

export class CopyLines {
  readonly digest: RowDigest;
  /** Of a line whose end has not come. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  /** Whether the digest has the beginning of that line. */
  #long = false;
  /** Whether the line `\.` has come. */
  ended = false;

  constructor(digest: RowDigest) {
    this.digest = digest;
  }

  /** @returns where the rows are over: behind the line `\.`, or `to` */
  push(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to && !this.ended) {
      let end = bytes.indexOf(NEWLINE, at);
      if (end < 0 || end >= to) {
        this.#keep(Buffer.from(bytes.subarray(at, to)));
        return to;
      }
      if (this.#begun.length === 0) this.#line(bytes, at, end);
      else {
        const line = Buffer.concat([...this.#begun, bytes.subarray(at, end)]);
        this.#begun = [];
        this.#begunBytes = 0;
        this.#line(line, 0, line.byteLength);
      }
      at = ++end;
    }
    return this.ended ? at : to;
  }

  /** Whether nothing of a line is left. */
  get whole(): boolean {
    return this.#begun.length === 0;
  }

  /** A row may have a gigabyte: not more of it is kept than is needed. */
  #keep(piece: Buffer): void {
    this.#begun.push(piece);
    this.#begunBytes += piece.byteLength;
    if (this.#begunBytes < LONG_BYTES) return;
    const bytes = Buffer.concat(this.#begun);
    const rest = Buffer.from(bytes.subarray(this.digest.begin(bytes, 0, bytes.byteLength)));
    this.#begun = [rest];
    this.#begunBytes = rest.byteLength;
    this.#long = true;
  }

  #line(bytes: Buffer, from: number, to: number): void {
    // A row cannot be this: a backslash of a value is written twice.
    if (!this.#long && to - from === 2 && bytes[from] === BACKSLASH && bytes[from + 1] === DOT)
      this.ended = true;
    else this.digest.add(bytes, from, to);
    this.#long = false;
  }
}
