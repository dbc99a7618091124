/**
 * The objects that jobs of S3 Batch copy, and what became of each, on disk beside the journal.
 *
 * Objects that one job can copy form a group: the same folder before the key and the same storage class. Filled
 * shard by shard, each recorded with its tasks; adding a task again changes nothing.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { BatchResult } from '../../platforms/aws/s3-batch-report.ts';

export interface BatchTask {
  readonly sourceKey: string;
  readonly targetKey: string;
  /** ETag of the source when the manifest was made. */
  readonly etag: string;
  readonly storageClass: string;
}

export interface BatchGroup {
  readonly id: number;
  /** What the job puts before keys, with its slash. */
  readonly folder: string;
  readonly storageClass: string;
}

export class BatchTasks implements Disposable {
  readonly #db: DatabaseSync;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  static open(folder: string): BatchTasks {
    const db = new DatabaseSync(join(folder, FILE), { timeout: 10_000 });
    db.exec(SCHEMA);
    return new BatchTasks(db);
  }

  /** Undefined where no job was made. */
  static openExisting(folder: string): BatchTasks | undefined {
    return existsSync(join(folder, FILE)) ? BatchTasks.open(folder) : undefined;
  }

  isRecorded(shardId: number): boolean {
    return this.#db.prepare('SELECT 1 FROM shards WHERE id = ?').get(shardId) !== undefined;
  }

  add(tasks: readonly BatchTask[], group: Omit<BatchGroup, 'id'>): void {
    if (tasks.length === 0) return;
    this.#db
      .prepare('INSERT INTO groups (folder, class) VALUES (?, ?) ON CONFLICT DO NOTHING')
      .run(group.folder, group.storageClass);
    const { id } = this.#one('SELECT id FROM groups WHERE folder = ? AND class = ?', [
      group.folder,
      group.storageClass,
    ]);
    const insert = this.#db.prepare(
      'INSERT INTO tasks (source, target, etag, class, grp, state) VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING',
    );
    this.#transaction(() => {
      for (const task of tasks) {
        insert.run(task.sourceKey, task.targetKey, task.etag, task.storageClass, Number(id));
      }
    });
  }

  /** All tasks of the shard were added. */
  record(shardId: number): void {
    this.#db.prepare('INSERT INTO shards (id) VALUES (?) ON CONFLICT DO NOTHING').run(shardId);
  }

  groups(): BatchGroup[] {
    const rows = this.#db.prepare('SELECT id, folder, class FROM groups ORDER BY id').all();
    return rows.map((row) => ({
      id: Number(row['id']),
      folder: String(row['folder']),
      storageClass: String(row['class']),
    }));
  }

  /** Tasks of a group that no job copied yet, a thousand at once, in the order of source keys. */
  openPages(group: number): Generator<BatchTask[]> {
    return this.#pages(group, 'state <> 1');
  }

  /** Tasks of a group that a job copied and did not say with which ETag. */
  copiedPages(group: number): Generator<BatchTask[]> {
    return this.#pages(group, 'state = 1 AND copied IS NULL');
  }

  *#pages(group: number, where: string): Generator<BatchTask[]> {
    const select = this.#db.prepare(
      `SELECT source, target, etag, class FROM tasks WHERE grp = ? AND ${where} AND source > ? ORDER BY source LIMIT 1000`,
    );
    for (let after = ''; ; ) {
      const page = select.all(group, after).map((row) => ({
        sourceKey: String(row['source']),
        targetKey: String(row['target']),
        etag: String(row['etag']),
        storageClass: String(row['class']),
      }));
      if (page.length > 0) yield page;
      if (page.length < 1000) return;
      after = page.at(-1)!.sourceKey;
    }
  }

  /** With which ETags a job copied. */
  keepEtags(copies: readonly { readonly sourceKey: string; readonly etag: string }[]): void {
    const update = this.#db.prepare('UPDATE tasks SET copied = ? WHERE source = ?');
    this.#transaction(() => {
      for (const { sourceKey, etag } of copies) update.run(etag, sourceKey);
    });
  }

  /** Keeps results of a report: all of them, or none when `results` throws. @returns how many there were */
  async apply(results: AsyncIterable<readonly BatchResult[]>): Promise<number> {
    let count = 0;
    this.#db.exec(
      'CREATE TEMP TABLE IF NOT EXISTS found (source TEXT PRIMARY KEY, state INTEGER, copied TEXT, error TEXT)',
    );
    this.#db.exec('DELETE FROM found');
    const insert = this.#db.prepare('INSERT OR REPLACE INTO found VALUES (?, ?, ?, ?)');
    for await (const batch of results) {
      count += batch.length;
      this.#transaction(() => {
        for (const { sourceKey, succeeded, etag, error } of batch) {
          insert.run(sourceKey, succeeded ? 1 : 2, etag ?? null, error ?? null);
        }
      });
    }
    this.#db.exec(
      'UPDATE tasks SET state = found.state, copied = found.copied, error = found.error FROM found WHERE found.source = tasks.source',
    );
    return count;
  }

  counts(): { readonly tasks: number; readonly succeeded: number; readonly failed: number } {
    const row = this.#one(
      'SELECT count(*) AS tasks, coalesce(sum(state = 1), 0) AS succeeded, coalesce(sum(state = 2), 0) AS failed FROM tasks',
    );
    return {
      tasks: Number(row['tasks']),
      succeeded: Number(row['succeeded']),
      failed: Number(row['failed']),
    };
  }

  /** Some of the tasks that succeeded. */
  someSucceeded(limit: number): string[] {
    const rows = this.#db.prepare('SELECT target FROM tasks WHERE state = 1 LIMIT ?').all(limit);
    return rows.map((row) => String(row['target']));
  }

  /** Some of the tasks that failed, as a person reads them. */
  someFailures(limit: number): string[] {
    const rows = this.#db.prepare('SELECT source, error FROM tasks WHERE state = 2 LIMIT ?').all(limit);
    return rows.map((row) => `${row['source']}: ${row['error'] ?? 'no reason given'}`);
  }

  /** Those of some source keys that a job copied. */
  copiedOf(sourceKeys: readonly string[]): Set<string> {
    const select = this.#db.prepare('SELECT 1 FROM tasks WHERE source = ? AND state = 1');
    return new Set(sourceKeys.filter((key) => select.get(key) !== undefined));
  }

  /**
   * Whether a job wrote the object with this ETag: the one that the function answered or that was found at the
   * target; else that of the source when the manifest was made.
   */
  wrote(sourceKey: string, targetEtag: string): boolean {
    const row = this.#db
      .prepare('SELECT coalesce(copied, etag) AS etag FROM tasks WHERE source = ? AND state = 1')
      .get(sourceKey);
    return row !== undefined && row['etag'] === targetEtag;
  }

  #one(sql: string, values: SQLInputValue[] = []): Record<string, unknown> {
    return this.#db.prepare(sql).get(...values)!;
  }

  #transaction(work: () => void): void {
    this.#db.exec('BEGIN');
    try {
      work();
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}

const FILE = 's3-batch.sqlite';

/** States of a task: 0 not known, 1 succeeded, 2 failed. */
const SCHEMA = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA temp_store = FILE;
CREATE TABLE IF NOT EXISTS shards (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS groups (id INTEGER PRIMARY KEY, folder TEXT NOT NULL, class TEXT NOT NULL, UNIQUE (folder, class)) STRICT;
CREATE TABLE IF NOT EXISTS tasks (
  source TEXT PRIMARY KEY,
  target TEXT NOT NULL,
  etag TEXT NOT NULL,
  class TEXT NOT NULL,
  grp INTEGER NOT NULL,
  state INTEGER NOT NULL,
  copied TEXT,
  error TEXT
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS tasks_by_group ON tasks (grp, source);
`;
