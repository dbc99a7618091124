/** Finds two sources with one target, for rules that may map so: every target is claimed once, on disk. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

/** Memory stays flat: claims are in a temporary SQLite file, which is removed on disposal. */
export class TargetClaims implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'longshore-claims-'));
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;

  constructor() {
    this.#db = new DatabaseSync(join(this.#folder, 'claims.sqlite'));
    this.#db.exec(
      'PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE claims (target TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID, STRICT; BEGIN',
    );
    this.#insert = this.#db.prepare('INSERT INTO claims VALUES (?, ?) ON CONFLICT DO NOTHING');
    this.#select = this.#db.prepare('SELECT source FROM claims WHERE target = ?');
  }

  /** @returns the source that claimed the target before, if it is another one */
  claim(targetKey: string, sourceKey: string): string | undefined {
    if (this.#insert.run(targetKey, sourceKey).changes === 1) return undefined;
    const other = String(this.#select.get(targetKey)?.['source']);
    return other === sourceKey ? undefined : other;
  }

  [Symbol.dispose](): void {
    this.#db.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
