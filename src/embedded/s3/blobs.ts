/**
 * The bytes of objects and parts. A blob is a leaf of at most 1 MiB, or composed of slices of other blobs, so that
 * a copy, a completed upload and a copied part share bytes instead of repeating them. Blob 0 is the empty one.
 *
 * A blob starts with no reference; `retain` and `release` count them, and the last release deletes. A blob that
 * is being read is pinned and deleted only after the reader has finished. Blobs that no one came to refer to (an
 * upload broken off by a crash) are deleted when the server starts.
 */

import { createHash, hash } from 'node:crypto';
import type { StatementSync } from 'node:sqlite';
import type { Database } from './database.ts';

export const LEAF_BYTES_MAX = 1024 * 1024;
const EMPTY_MD5 = hash('md5', '', 'buffer');

/** A slice of a blob. */
export interface Segment {
  readonly blob: number;
  readonly start: number;
  readonly length: number;
}

interface BlobRow {
  readonly refs: number;
  readonly size: number;
  readonly composed: number;
  readonly md5: Uint8Array | null;
}

export class Blobs {
  readonly #database: Database;
  readonly #pins = new Map<number, number>();
  #nextId: number;
  readonly #insertBlob: StatementSync;
  readonly #insertBody: StatementSync;
  readonly #insertSegment: StatementSync;
  readonly #retain: StatementSync;
  readonly #find: StatementSync;
  readonly #body: StatementSync;
  readonly #segments: StatementSync;
  readonly #setMd5: StatementSync;
  readonly #deletes: readonly StatementSync[];

  constructor(database: Database) {
    this.#database = database;
    this.#insertBlob = database.prepare('INSERT INTO blobs VALUES (?, 0, ?, ?, ?)');
    this.#insertBody = database.prepare('INSERT INTO bodies VALUES (?, ?)');
    this.#insertSegment = database.prepare('INSERT INTO segments VALUES (?, ?, ?, ?, ?)');
    this.#retain = database.prepare('UPDATE blobs SET refs = refs + ? WHERE id = ?');
    this.#find = database.prepare('SELECT refs, size, composed, md5 FROM blobs WHERE id = ?');
    this.#body = database.prepare('SELECT body FROM bodies WHERE id = ?');
    this.#segments = database.prepare('SELECT child, start, length FROM segments WHERE blob = ? ORDER BY n');
    this.#setMd5 = database.prepare('UPDATE blobs SET md5 = ? WHERE id = ?');
    this.#deletes = ['blobs WHERE id', 'bodies WHERE id', 'segments WHERE blob'].map((where) =>
      database.prepare(`DELETE FROM ${where} = ?`),
    );
    const last = database.prepare('SELECT max(id) AS id FROM blobs').get() as { id: number | null };
    this.#nextId = (last.id ?? 0) + 1;
    for (const row of database.prepare('SELECT id FROM blobs WHERE refs = 0').all()) {
      this.discard(row.id as number);
    }
  }

  /** Stores at most {@link LEAF_BYTES_MAX} bytes. */
  addLeaf(body: Uint8Array, md5: Uint8Array | null): number {
    if (body.length === 0) return 0;
    this.#database.write();
    const id = this.#nextId++;
    this.#insertBlob.run(id, body.length, 0, md5);
    this.#insertBody.run(id, body);
    return id;
  }

  /** A blob of these slices, one after another; it holds a reference to each. One whole blob is answered as itself. */
  compose(segments: readonly Segment[], md5: Uint8Array | null): number {
    const filled = segments.filter((segment) => segment.length > 0);
    const first = filled[0];
    if (first === undefined) return 0;
    if (filled.length === 1 && first.start === 0 && first.length === this.#row(first.blob).size) {
      return first.blob;
    }
    this.#database.write();
    const id = this.#nextId++;
    let size = 0;
    for (const [n, segment] of filled.entries()) {
      this.#insertSegment.run(id, n, segment.blob, segment.start, segment.length);
      this.retain(segment.blob);
      size += segment.length;
    }
    this.#insertBlob.run(id, size, 1, md5);
    return id;
  }

  retain(id: number): void {
    if (id === 0) return;
    this.#database.write();
    this.#retain.run(1, id);
  }

  release(id: number): void {
    if (id === 0) return;
    this.#database.write();
    const row = this.#row(id);
    if (row.refs > 1 || this.#pins.has(id)) this.#retain.run(-1, id);
    else this.#delete(id, row);
  }

  /** Deletes a blob that nothing refers to; does nothing to any other. */
  discard(id: number): void {
    if (id === 0 || this.#pins.has(id)) return;
    const row = this.#find.get(id) as unknown as BlobRow | undefined;
    if (row === undefined || row.refs > 0) return;
    this.#database.write();
    this.#delete(id, row);
  }

  /** The MD5 of the bytes; read and remembered where it is not known yet. */
  md5(id: number): Buffer {
    if (id === 0) return EMPTY_MD5;
    const known = this.#row(id).md5;
    if (known !== null) return Buffer.from(known);
    const hasher = createHash('md5');
    for (const bytes of this.read(id)) hasher.update(bytes);
    const digest = hasher.digest();
    this.#database.write();
    this.#setMd5.run(digest, id);
    return digest;
  }

  /** The bytes from `start` to before `end`, in pieces of at most 1 MiB. */
  *read(id: number, start = 0, end = Number.POSITIVE_INFINITY): Generator<Uint8Array> {
    if (id === 0) return;
    const row = this.#row(id);
    const stop = Math.min(end, row.size);
    if (start >= stop) return;
    if (row.composed === 0) {
      const body = (this.#body.get(id) as { body: Uint8Array }).body;
      yield start === 0 && stop === row.size ? body : body.subarray(start, stop);
      return;
    }
    let offset = 0;
    for (const segment of this.#segments.all(id) as { child: number; start: number; length: number }[]) {
      const from = Math.max(start - offset, 0);
      const to = Math.min(stop - offset, segment.length);
      if (from < to) yield* this.read(segment.child, segment.start + from, segment.start + to);
      offset += segment.length;
      if (offset >= stop) return;
    }
  }

  /** As {@link read}, over time: the blob stays until the reader has finished, though it be released meanwhile. */
  async *readPinned(id: number, start: number, end: number): AsyncGenerator<Uint8Array> {
    this.#pins.set(id, (this.#pins.get(id) ?? 0) + 1);
    try {
      yield* this.read(id, start, end);
    } finally {
      const pins = this.#pins.get(id)! - 1;
      if (pins > 0) this.#pins.set(id, pins);
      else {
        this.#pins.delete(id);
        this.discard(id);
      }
    }
  }

  #row(id: number): BlobRow {
    const row = this.#find.get(id) as unknown as BlobRow | undefined;
    if (row === undefined) throw new Error(`Cannot find blob ${id}`);
    return row;
  }

  #delete(id: number, row: BlobRow): void {
    const children = row.composed === 1 ? (this.#segments.all(id) as { child: number }[]) : [];
    if (row.composed === 1) this.#deletes[2]!.run(id);
    else this.#deletes[1]!.run(id);
    this.#deletes[0]!.run(id);
    for (const { child } of children) this.release(child);
  }
}
