/**
 * The keys of an inventory, sorted and each once, on disk beside the journal: inventories list in any order, and a
 * batch of neighbours costs one listing where a batch of strangers costs a request each.
 *
 * Filled file by file, each recorded with its last keys: killed on the way, the next process goes on with the file
 * that is not recorded. Adding a key again changes nothing.
 */

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LongshoreError } from '../../errors.ts';
import type { InventoryEntry } from '../../formats/inventory-csv.ts';
import { compareKeys } from '../../stores/key-order.ts';

export interface SpooledKey {
  readonly key: string;
  /** As the inventory lists it; 0 where it does not tell. */
  readonly sizeBytes: number;
}

export class InventorySpool implements Disposable {
  readonly #db: DatabaseSync;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /**
   * Opens the spool for filling; what another inventory left is thrown away.
   * @param identity of the inventory: its files and their digests
   */
  static fill(folder: string, identity: string): InventorySpool {
    const path = join(folder, FILE);
    if (existsSync(path)) {
      const spool = new InventorySpool(openDatabase(path));
      if (spool.#identity() === identity) return spool;
      spool[Symbol.dispose]();
      for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
    }
    const db = openDatabase(path);
    db.prepare('INSERT INTO about (name, value) VALUES (?, ?)').run('identity', identity);
    return new InventorySpool(db);
  }

  /** Opens a spool that was filled. @throws CHECK_FAILED where it is gone */
  static read(folder: string): InventorySpool {
    const path = join(folder, FILE);
    if (existsSync(path)) return new InventorySpool(openDatabase(path));
    throw new LongshoreError('CHECK_FAILED', `the keys of the inventory, ${path}, are gone`, {
      hint: 'put the file back, or move the folder of the run away to begin anew',
    });
  }

  isRecorded(file: string): boolean {
    return this.#db.prepare('SELECT 1 FROM files WHERE name = ?').get(file) !== undefined;
  }

  /** Sorted here, so that a large batch touches few pages of the table. */
  add(entries: InventoryEntry[]): void {
    entries.sort((a, b) => compareKeys(a.key, b.key));
    const insert = this.#db.prepare('INSERT INTO keys (key, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#db.exec('BEGIN');
    for (const { key, sizeBytes } of entries) insert.run(key, sizeBytes ?? 0);
    this.#db.exec('COMMIT');
  }

  /** Everything that the file lists was added. */
  record(file: string): void {
    this.#db.prepare('INSERT INTO files (name) VALUES (?) ON CONFLICT DO NOTHING').run(file);
  }

  /** Keys after `after`, up to and with `upTo`, in UTF-8 byte order. */
  *pages(
    span: { readonly after?: string | undefined; readonly upTo?: string | undefined } = {},
    limit = 1000,
  ): Generator<SpooledKey[]> {
    const select = this.#db.prepare(
      'SELECT key, bytes FROM keys WHERE key > ? AND (? IS NULL OR key <= ?) ORDER BY key LIMIT ?',
    );
    const upTo = span.upTo ?? null;
    for (let after = span.after ?? ''; ; ) {
      const rows = select.all(after, upTo, upTo, limit);
      const page = rows.map((row) => ({ key: String(row['key']), sizeBytes: Number(row['bytes']) }));
      if (page.length > 0) yield page;
      if (page.length < limit) return;
      after = page.at(-1)!.key;
    }
  }

  #identity(): string | undefined {
    return this.#db.prepare("SELECT value FROM about WHERE name = 'identity'").get()?.['value'] as
      | string
      | undefined;
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}

const FILE = 'inventory.sqlite';

/** SQLite compares text by its bytes, which is the order of keys. */
function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 10_000 });
  db.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA cache_size = -32768;
    PRAGMA wal_autocheckpoint = 8192;
    CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY) STRICT;
    CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID, STRICT;
  `);
  return db;
}
