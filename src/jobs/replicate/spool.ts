/**
 * Messages of a transaction that the server sends before it commits, on disk until it does. Parts of it that are
 * rolled back meanwhile are passed over when it is read.
 */

import { closeSync, fstatSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { diskError } from '../../flow/disk-error.ts';

const BUFFER_BYTES = 256 * 1024;
/** Transaction id, length. */
const HEADER_BYTES = 8;

export class Spool implements Disposable {
  readonly #path: string;
  readonly #file: number;
  readonly #aborted = new Set<number>();
  #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #filled = 0;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#file = openSync(path, 'w+');
    } catch (error) {
      throw diskError(error, 'keep a large transaction in', path);
    }
  }

  /** @param xid that of the subtransaction; 0 for what belongs to all */
  add(xid: number, bytes: Buffer, at: number, end: number): void {
    const length = end - at;
    if (this.#filled + HEADER_BYTES + length > this.#buffer.byteLength) this.#flush();
    if (HEADER_BYTES + length > this.#buffer.byteLength)
      this.#buffer = Buffer.allocUnsafe(2 * (HEADER_BYTES + length));
    this.#buffer.writeUInt32BE(xid, this.#filled);
    this.#buffer.writeUInt32BE(length, this.#filled + 4);
    bytes.copy(this.#buffer, this.#filled + HEADER_BYTES, at, end);
    this.#filled += HEADER_BYTES + length;
  }

  /** What a subtransaction did is void. */
  abort(subXid: number): void {
    this.#aborted.add(subXid);
  }

  /** The messages in order, without those of parts that were rolled back. Good until the next one is asked for. */
  *messages(): Generator<Buffer> {
    this.#flush();
    const { size } = fstatSync(this.#file);
    let window = Buffer.allocUnsafe(BUFFER_BYTES);
    let from = 0;
    let held = 0;
    let at = 0;
    while (from + at < size) {
      const header = held - at >= HEADER_BYTES ? window.readUInt32BE(at + 4) : undefined;
      if (header !== undefined && held - at >= HEADER_BYTES + header) {
        const xid = window.readUInt32BE(at);
        const start = at + HEADER_BYTES;
        at = start + header;
        if (!this.#aborted.has(xid)) yield window.subarray(start, at);
        continue;
      }
      // The next message is not whole in the window.
      from += at;
      const needed = header === undefined ? BUFFER_BYTES : Math.max(BUFFER_BYTES, HEADER_BYTES + header);
      if (needed > window.byteLength) window = Buffer.allocUnsafe(needed);
      held = readSync(this.#file, window, 0, Math.min(window.byteLength, size - from), from);
      at = 0;
      if (held < HEADER_BYTES || held < HEADER_BYTES + (header ?? 0)) {
        throw new Error(`the spool ${this.#path} is cut off`);
      }
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
    rmSync(this.#path, { force: true });
  }

  #flush(): void {
    try {
      for (let at = 0; at < this.#filled; ) at += writeSync(this.#file, this.#buffer, at, this.#filled - at);
    } catch (error) {
      throw diskError(error, 'keep a large transaction in', this.#path);
    }
    this.#filled = 0;
  }
}
