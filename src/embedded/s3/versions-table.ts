/**
 * The objects: for each key its current version (which may be a delete marker), and the older versions of buckets
 * that keep them. States of a bucket, as S3 has them:
 *
 * | versioning | a write | a delete |
 * | --- | --- | --- |
 * | never on | replaces the object | removes it |
 * | Enabled | adds a version with a new id | adds a delete marker with a new id |
 * | Suspended | replaces the version `null`, keeps the others | replaces the version `null` by a marker |
 */

import { randomBytes } from 'node:crypto';
import type { StatementSync } from 'node:sqlite';
import type { Blobs } from './blobs.ts';
import type { Bucket } from './buckets-table.ts';
import type { Database } from './database.ts';

/** A version to write; `headers`, `tags` and `extra` are JSON, see `attributes.ts`. */
export interface NewVersion {
  readonly blob: number;
  readonly size: number;
  readonly etag: string;
  readonly modified: number;
  readonly class: string;
  readonly headers: string;
  readonly tags: string | null;
  readonly extra: string | null;
}

export interface VersionRow extends NewVersion {
  readonly key: Uint8Array;
  readonly seq: number;
  /** Null in a bucket that never kept versions; S3 calls that version `null`. */
  readonly version: string | null;
  readonly marker: number;
}

/** A version of {@link Versions.listVersions}. */
export interface ListedVersion extends VersionRow {
  readonly latest: number;
}

const COLUMNS = 'key, seq, version, marker, blob, size, etag, modified, class, headers, tags, extra';
const MARKER: NewVersion = {
  blob: 0,
  size: 0,
  etag: '',
  modified: 0,
  class: 'STANDARD',
  headers: '[]',
  tags: null,
  extra: null,
};

export class Versions {
  readonly #database: Database;
  readonly #blobs: Blobs;
  #seq: number;
  readonly #current: StatementSync;
  readonly #replace: StatementSync;
  readonly #removeCurrent: StatementSync;
  readonly #retire: StatementSync;
  readonly #older: StatementSync;
  readonly #newestOlder: StatementSync;
  readonly #removeOlder: StatementSync;
  readonly #promote: StatementSync;
  readonly #page: StatementSync;
  readonly #versionsPage: StatementSync;
  readonly #any: StatementSync;
  readonly #setAttributes: readonly StatementSync[];

  constructor(database: Database, blobs: Blobs) {
    this.#database = database;
    this.#blobs = blobs;
    const statement = (sql: string): StatementSync => database.prepare(sql);
    this.#current = statement(`SELECT ${COLUMNS} FROM objects WHERE bucket = ? AND key = ?`);
    this.#replace = statement(
      `INSERT OR REPLACE INTO objects (bucket, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#removeCurrent = statement('DELETE FROM objects WHERE bucket = ? AND key = ?');
    this.#retire = statement('INSERT INTO versions SELECT * FROM objects WHERE bucket = ? AND key = ?');
    this.#older = statement(
      `SELECT ${COLUMNS} FROM versions WHERE bucket = ? AND key = ? AND ifnull(version, 'null') = ?`,
    );
    this.#newestOlder = statement(
      'SELECT seq FROM versions WHERE bucket = ? AND key = ? ORDER BY seq DESC LIMIT 1',
    );
    this.#removeOlder = statement('DELETE FROM versions WHERE bucket = ? AND key = ? AND seq = ?');
    this.#promote = statement(
      'INSERT INTO objects SELECT * FROM versions WHERE bucket = ? AND key = ? AND seq = ?',
    );
    this.#page = statement(
      `SELECT key, size, etag, modified, class FROM objects
       WHERE bucket = ? AND key >= ? AND marker = 0 ORDER BY key LIMIT ?`,
    );
    this.#versionsPage = statement(
      `SELECT * FROM (
         SELECT 1 AS latest, ${COLUMNS} FROM objects WHERE bucket = ?1 AND key >= ?2
         UNION ALL SELECT 0 AS latest, ${COLUMNS} FROM versions WHERE bucket = ?1 AND key >= ?2)
       WHERE key > ?2 OR seq < ?3 ORDER BY key, seq DESC LIMIT ?4`,
    );
    this.#any = statement(
      `SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)
           OR EXISTS (SELECT 1 FROM versions WHERE bucket = ?1) AS found`,
    );
    this.#setAttributes = ['objects', 'versions'].map((table) =>
      statement(
        `UPDATE ${table} SET tags = ?, extra = ?, class = ? WHERE bucket = ? AND key = ? AND seq = ?`,
      ),
    );
    const { seq } = statement(
      'SELECT max(ifnull((SELECT max(seq) FROM objects), 0), ifnull((SELECT max(seq) FROM versions), 0)) AS seq',
    ).get() as { seq: number };
    this.#seq = seq;
  }

  /** The current version, which may be a delete marker. */
  current(bucket: Bucket, key: Uint8Array): VersionRow | undefined {
    return this.#current.get(bucket.id, key) as unknown as VersionRow | undefined;
  }

  /** The version with this id, current or not; `null` names the one without an id. */
  version(bucket: Bucket, key: Uint8Array, versionId: string): VersionRow | undefined {
    const current = this.current(bucket, key);
    if (current !== undefined && (current.version ?? 'null') === versionId) return current;
    if (bucket.config.versioning === undefined) return undefined;
    return this.#older.get(bucket.id, key, versionId) as unknown as VersionRow | undefined;
  }

  /**
   * Makes this the current version and takes a reference to its blob.
   * @param current what {@link current} answered for the key, in the same turn
   * @returns the id of the new version; null where the bucket never kept versions
   */
  put(bucket: Bucket, key: Uint8Array, version: NewVersion, current: VersionRow | undefined): string | null {
    this.#blobs.retain(version.blob);
    return this.#write(bucket, key, version, current, 0);
  }

  /** Deletes as a DELETE without version id does; the id of the marker it left, or undefined. */
  delete(
    bucket: Bucket,
    key: Uint8Array,
    current: VersionRow | undefined,
    modified: number,
  ): string | undefined {
    if (bucket.config.versioning !== undefined) {
      return this.#write(bucket, key, { ...MARKER, modified }, current, 1) ?? undefined;
    }
    if (current === undefined) return undefined;
    this.#database.write();
    this.#removeCurrent.run(bucket.id, key);
    this.#blobs.release(current.blob);
    return undefined;
  }

  /** Deletes exactly this version; where it was the current one, the one before it becomes current. */
  deleteVersion(bucket: Bucket, row: VersionRow): void {
    this.#database.write();
    const current = this.current(bucket, row.key);
    if (current?.seq === row.seq) {
      this.#removeCurrent.run(bucket.id, row.key);
      const older = this.#newestOlder.get(bucket.id, row.key) as { seq: number } | undefined;
      if (older !== undefined) {
        this.#promote.run(bucket.id, row.key, older.seq);
        this.#removeOlder.run(bucket.id, row.key, older.seq);
      }
    } else {
      this.#removeOlder.run(bucket.id, row.key, row.seq);
    }
    this.#blobs.release(row.blob);
  }

  /** Changes tags, extra attributes and class in place. */
  setAttributes(
    bucket: Bucket,
    row: VersionRow,
    change: { tags?: string | null; extra?: string | null },
  ): void {
    this.#database.write();
    const tags = change.tags === undefined ? row.tags : change.tags;
    const extra = change.extra === undefined ? row.extra : change.extra;
    for (const statement of this.#setAttributes) {
      statement.run(tags, extra, row.class, bucket.id, row.key, row.seq);
    }
  }

  /** Current objects in byte order from `from` on. */
  list(bucket: Bucket, from: Uint8Array, limit: number): VersionRow[] {
    return this.#page.all(bucket.id, from, limit) as unknown as VersionRow[];
  }

  /** Versions and markers by key, newest first, from `from` on: of that key itself only those older than `seq`. */
  listVersions(bucket: Bucket, from: Uint8Array, seq: number, limit: number): ListedVersion[] {
    return this.#versionsPage.all(bucket.id, from, seq, limit) as unknown as ListedVersion[];
  }

  isEmpty(bucket: Bucket): boolean {
    return (this.#any.get(bucket.id) as { found: number }).found === 0;
  }

  #write(
    bucket: Bucket,
    key: Uint8Array,
    version: NewVersion,
    current: VersionRow | undefined,
    marker: 0 | 1,
  ): string | null {
    this.#database.write();
    const { versioning } = bucket.config;
    const id =
      versioning === undefined
        ? null
        : versioning === 'Suspended'
          ? 'null'
          : randomBytes(24).toString('base64url');
    if (versioning === undefined || (versioning === 'Suspended' && (current?.version ?? 'null') === 'null')) {
      if (current !== undefined) this.#blobs.release(current.blob);
    } else if (current !== undefined) {
      this.#retire.run(bucket.id, key);
    }
    if (versioning === 'Suspended') {
      const old = this.#older.get(bucket.id, key, 'null') as unknown as VersionRow | undefined;
      if (old !== undefined) {
        this.#removeOlder.run(bucket.id, key, old.seq);
        this.#blobs.release(old.blob);
      }
    }
    this.#replace.run(
      bucket.id,
      key,
      ++this.#seq,
      id,
      marker,
      version.blob,
      version.size,
      version.etag,
      version.modified,
      version.class,
      version.headers,
      version.tags,
      version.extra,
    );
    return id;
  }
}
