/**
 * Which rows name which keys, on disk and in the order of keys, so that a table of any size can be joined with a
 * listing in flat memory.
 *
 * Names are appended while rows are read, then sorted once by SQLite's external sort, which is many times faster
 * than keeping them sorted. About 100 bytes a name in the system's temporary folder, removed on disposal.
 *
 * States: open (`add`) → sealed (everything else).
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { compareKeys, prefixEnd } from '../../stores/key-order.ts';
import type { KeySpan } from '../../stores/list-parallel.ts';
import type { ListedObject } from '../../stores/object-store.ts';

/** A key that rows name, and how many do. */
export interface NamedKey {
  readonly key: string;
  readonly rows: number;
}

/** A row that names a key. */
export interface NamedBy {
  readonly column: number;
  readonly primaryKey: readonly string[];
}

export class NameIndex implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'longshore-names-'));
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor() {
    this.#db = new DatabaseSync(join(this.#folder, 'names.sqlite'));
    // SQLite orders text by its UTF-8 bytes, which is the order of keys.
    this.#db.exec(`
      PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -${CACHE_KIB};
      CREATE TABLE names (key TEXT NOT NULL, place INTEGER NOT NULL, row TEXT NOT NULL) STRICT;
      CREATE TABLE absent (key TEXT NOT NULL) STRICT;
      BEGIN`);
  }

  /** Called once for each key that a row names. */
  add(key: string, by: NamedBy): void {
    this.#sql('INSERT INTO names VALUES (?, ?, ?)').run(key, by.column, JSON.stringify(by.primaryKey));
  }

  /** Sorts what was added. Nothing can be added any more. */
  seal(): void {
    this.#db.exec('COMMIT; CREATE INDEX names_by_key ON names (key); BEGIN');
  }

  /** The keys with `prefix` in a span, in order. */
  *keys(prefix = '', span: KeySpan = {}): Generator<NamedKey> {
    const low = span.after === undefined || compareKeys(span.after, prefix) < 0 ? prefix : span.after;
    const from = low === span.after ? 'key > ?' : 'key >= ?';
    const end = prefixEnd(prefix);
    const { upTo } = span;
    const upToFirst = upTo !== undefined && (end === undefined || compareKeys(upTo, end) < 0);
    const [to, high] = upToFirst
      ? ['key <= ?', upTo]
      : end === undefined
        ? ['', undefined]
        : ['key < ?', end];
    // Prepared anew: a statement that is being stepped through cannot serve two spans at once.
    const select = this.#db.prepare(
      `SELECT key, count(*) AS n FROM names WHERE ${from} ${to === '' ? '' : `AND ${to}`} GROUP BY key ORDER BY key`,
    );
    for (const row of high === undefined ? select.iterate(low) : select.iterate(low, high)) {
      yield { key: String(row['key']), rows: Number(row['n']) };
    }
  }

  /** The same in pages. */
  *pages(keysMax: number): Generator<NamedKey[]> {
    yield* inPages(this.keys(), keysMax);
  }

  /** The rows that name a key, in the order in which they were added. */
  *rowsOf(key: string): Generator<NamedBy> {
    const select = this.#db.prepare('SELECT place, row FROM names WHERE key = ? ORDER BY rowid');
    for (const row of select.iterate(key)) {
      yield { column: Number(row['place']), primaryKey: JSON.parse(String(row['row'])) as string[] };
    }
  }

  /** About `count` keys that cut the index into ranges of about one size. */
  splitPoints(count: number): string[] {
    const total = Number(this.#sql('SELECT count(*) AS n FROM names').get()?.['n']);
    if (total < count) return [];
    const step = Math.floor(total / count);
    // Rows are numbered as they were added, so that these are spread over the table, not over the keys.
    return this.#sql('SELECT key FROM names WHERE rowid % ? = 0')
      .all(step)
      .map((row) => String(row['key']));
  }

  /** Notes that a key which rows name is not where it was looked for. */
  addAbsent(key: string): void {
    this.#sql('INSERT INTO absent VALUES (?)').run(key);
  }

  /** What was noted, in pages. */
  *absent(keysMax: number): Generator<string[]> {
    const rows = this.#db.prepare('SELECT key FROM absent ORDER BY rowid').iterate();
    yield* inPages(
      mapped(rows, (row) => String(row['key'])),
      keysMax,
    );
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#db.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#db.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }
}

const CACHE_KIB = 32 * 1024;

/** One key of the join: what the bucket holds, what rows name, or both. */
export interface JoinedKey {
  readonly key: string;
  readonly object?: ListedObject | undefined;
  readonly rows: number;
}

/** Joins a page of a listing with the names of its span; both in the order of keys. */
export function* joinByKey(
  objects: readonly ListedObject[],
  names: Iterable<NamedKey>,
): Generator<JoinedKey> {
  let at = 0;
  for (const { key, rows } of names) {
    while (at < objects.length && compareKeys(objects[at]!.key, key) < 0) {
      const object = objects[at++]!;
      yield { key: object.key, object, rows: 0 };
    }
    const object = objects[at]?.key === key ? objects[at++] : undefined;
    yield { key, object, rows };
  }
  for (; at < objects.length; at++) yield { key: objects[at]!.key, object: objects[at]!, rows: 0 };
}

function* inPages<T>(items: Iterable<T>, itemsMax: number): Generator<T[]> {
  let page: T[] = [];
  for (const item of items) {
    page.push(item);
    if (page.length < itemsMax) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

function* mapped<T, R>(items: Iterable<T>, change: (item: T) => R): Generator<R> {
  for (const item of items) yield change(item);
}
