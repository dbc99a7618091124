/** Multipart uploads in progress and their parts. */

import { randomBytes } from 'node:crypto';
import type { StatementSync } from 'node:sqlite';
import type { Blobs } from './blobs.ts';
import type { Bucket } from './buckets-table.ts';
import type { Database } from './database.ts';

export interface UploadRow {
  readonly id: string;
  readonly key: Uint8Array;
  readonly started: number;
  readonly class: string;
  readonly headers: string;
  readonly tags: string | null;
  readonly extra: string | null;
  /** The checksum asked for, and whether it is of the whole object or of the parts. */
  readonly algorithm: string | null;
  readonly type: string | null;
}

export interface PartRow {
  readonly number: number;
  readonly blob: number;
  readonly size: number;
  readonly etag: string;
  readonly modified: number;
  /** Base64. */
  readonly checksum: string | null;
}

const COLUMNS = 'id, key, started, class, headers, tags, extra, algorithm, type';

export class Uploads {
  readonly #database: Database;
  readonly #blobs: Blobs;
  readonly #insert: StatementSync;
  readonly #find: StatementSync;
  readonly #list: StatementSync;
  readonly #remove: StatementSync;
  readonly #putPart: StatementSync;
  readonly #part: StatementSync;
  readonly #parts: StatementSync;
  readonly #removeParts: StatementSync;

  constructor(database: Database, blobs: Blobs) {
    this.#database = database;
    this.#blobs = blobs;
    this.#insert = database.prepare(
      `INSERT INTO uploads (bucket, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#find = database.prepare(`SELECT ${COLUMNS} FROM uploads WHERE id = ? AND bucket = ? AND key = ?`);
    this.#list = database.prepare(
      `SELECT ${COLUMNS} FROM uploads WHERE bucket = ? AND (key > ? OR (key = ? AND id > ?)) ORDER BY key, id LIMIT ?`,
    );
    this.#remove = database.prepare('DELETE FROM uploads WHERE id = ?');
    this.#putPart = database.prepare('INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)');
    this.#part = database.prepare('SELECT * FROM parts WHERE upload = ? AND number = ?');
    this.#parts = database.prepare(
      'SELECT * FROM parts WHERE upload = ? AND number > ? ORDER BY number LIMIT ?',
    );
    this.#removeParts = database.prepare('DELETE FROM parts WHERE upload = ?');
  }

  add(bucket: Bucket, upload: Omit<UploadRow, 'id'>): string {
    this.#database.write();
    const id = randomBytes(30).toString('base64url');
    const { key, started, headers, tags, extra, algorithm, type } = upload;
    this.#insert.run(bucket.id, id, key, started, upload.class, headers, tags, extra, algorithm, type);
    return id;
  }

  find(bucket: Bucket, key: Uint8Array, id: string): UploadRow | undefined {
    return this.#find.get(id, bucket.id, key) as unknown as UploadRow | undefined;
  }

  /** After this key and upload, by key and id. */
  list(bucket: Bucket, afterKey: Uint8Array, afterId: string, limit: number): UploadRow[] {
    return this.#list.all(bucket.id, afterKey, afterKey, afterId, limit) as unknown as UploadRow[];
  }

  /** Adds or replaces a part, and takes a reference to its blob. */
  putPart(id: string, part: PartRow): void {
    this.#blobs.retain(part.blob);
    const old = this.part(id, part.number);
    if (old !== undefined) this.#blobs.release(old.blob);
    this.#putPart.run(id, part.number, part.blob, part.size, part.etag, part.modified, part.checksum);
  }

  part(id: string, number: number): PartRow | undefined {
    return this.#part.get(id, number) as unknown as PartRow | undefined;
  }

  parts(id: string, after: number, limit: number): PartRow[] {
    return this.#parts.all(id, after, limit) as unknown as PartRow[];
  }

  /** Forgets the upload and its parts; bytes that nothing else refers to are deleted. */
  remove(id: string): void {
    this.#database.write();
    for (const part of this.parts(id, 0, -1)) this.#blobs.release(part.blob);
    this.#removeParts.run(id);
    this.#remove.run(id);
  }
}
