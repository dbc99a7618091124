/** The SQLite database under the server: its schema, and writes grouped into one transaction per turn of the event loop. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

/** Columns of a version of an object; `objects` holds the current one (or delete marker), `versions` older ones. */
const VERSION_COLUMNS = `
  bucket INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, version TEXT, marker INTEGER NOT NULL,
  blob INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
  class TEXT NOT NULL, headers TEXT NOT NULL, tags TEXT, extra TEXT`;

/** Keys are BLOBs, so that the primary keys sort by UTF-8 bytes. A blob's `refs` counts the versions, parts and blobs that use it. */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS buckets (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL, config TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS objects (${VERSION_COLUMNS}, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS versions (${VERSION_COLUMNS}, PRIMARY KEY (bucket, key, seq DESC)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS blobs (
    id INTEGER PRIMARY KEY, refs INTEGER NOT NULL, size INTEGER NOT NULL, composed INTEGER NOT NULL, md5 BLOB);
  CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS segments (
    blob INTEGER NOT NULL, n INTEGER NOT NULL, child INTEGER NOT NULL, start INTEGER NOT NULL,
    length INTEGER NOT NULL, PRIMARY KEY (blob, n)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, started INTEGER NOT NULL,
    class TEXT NOT NULL, headers TEXT NOT NULL, tags TEXT, extra TEXT, algorithm TEXT, type TEXT) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
  CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, blob INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified INTEGER NOT NULL, checksum TEXT, PRIMARY KEY (upload, number)) WITHOUT ROWID;`;

export class Database implements Disposable {
  readonly #database: DatabaseSync;
  #afterCommit: (() => void)[] = [];
  #open = false;

  /** Without a folder everything is in memory and lost on dispose. */
  constructor(folder: string | undefined) {
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
    this.#database = new DatabaseSync(folder === undefined ? ':memory:' : join(folder, 's3.sqlite'));
    this.#database.exec(
      folder === undefined
        ? 'PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536'
        : 'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536',
    );
    this.#database.exec(SCHEMA);
  }

  prepare(sql: string): StatementSync {
    return this.#database.prepare(sql);
  }

  /** Must be called before writing: opens the transaction that the end of this turn of the event loop commits. */
  write(): void {
    if (this.#open) return;
    this.#open = true;
    this.#database.exec('BEGIN');
    setImmediate(() => this.commit());
  }

  /** Runs `then` when everything written so far is committed: at once where nothing is open. */
  whenCommitted(then: () => void): void {
    if (this.#open) this.#afterCommit.push(then);
    else then();
  }

  commit(): void {
    if (!this.#open) return;
    this.#database.exec('COMMIT');
    this.#open = false;
    const waiting = this.#afterCommit;
    this.#afterCommit = [];
    for (const then of waiting) then();
  }

  [Symbol.dispose](): void {
    this.commit();
    this.#database.close();
  }
}
