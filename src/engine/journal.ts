/**
 * The journal of a run: what work there is, what was done, what each object and row became.
 *
 * One SQLite file a run, in WAL mode, every commit flushed: what a method returned from survives the death of the
 * process and of the machine. A second process on the same run is refused while the first one lives.
 */

import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { gunzipSync, gzipSync } from 'node:zlib';
import { LongshoreError, messageOf } from '../errors.ts';

/** A unit of work: plain data. `stage` says what kind, `spec` what exactly. */
export interface Shard {
  readonly id: number;
  readonly stage: string;
  readonly pass: number;
  readonly spec: unknown;
}

export interface FinishedShard extends Shard {
  readonly state: 'done' | 'failed';
  readonly outcome: unknown;
  readonly finishedMs: number;
}

/** One line of detail about an object or a row; a plain JSON object. */
export type DetailLine = Readonly<Record<string, unknown>>;

export interface FinishedFilter {
  readonly stage?: string | undefined;
  readonly pass?: number | undefined;
}

/** What was about to be done: objects to be copied, row changes to be committed. */
export interface Intent {
  readonly id: number;
  readonly shardId: number;
  readonly lines: DetailLine[];
}

/**
 * All methods are synchronous and durable when they return. Methods may be called again after a crash: adding
 * shards is the caller's to make idempotent, all others are by nature.
 */
export class Journal implements Disposable {
  readonly folder: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #lock: DatabaseSync | undefined;

  private constructor(folder: string, db: DatabaseSync, lock: DatabaseSync | undefined) {
    this.folder = folder;
    this.#db = db;
    this.#lock = lock;
  }

  /**
   * Opens or creates the journal in `folder`.
   * @param access `write` takes the run's lock; `read` looks at a run that another process may be working on
   * @throws RUN_LOCKED, JOURNAL_FOREIGN (another job's), JOURNAL_NEWER
   */
  static open(folder: string, job: string, access: 'write' | 'read'): Journal {
    if (access === 'write') makeFolder(folder);
    const lock = access === 'write' ? takeLock(folder) : undefined;
    const path = join(folder, 'journal.sqlite');
    let db: DatabaseSync | undefined;
    try {
      db = new DatabaseSync(path, { timeout: 10_000, readOnly: access === 'read' });
      const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
      if (version > SCHEMA_VERSION) {
        throw new LongshoreError(
          'JOURNAL_NEWER',
          `the journal in ${folder} was written by a newer Longshore`,
          {
            hint: 'update Longshore, or move the folder away to begin anew',
          },
        );
      }
      if (access === 'write') {
        db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
        if (version === 0) db.exec(SCHEMA);
      }
      const journal = new Journal(folder, db, lock);
      const owner = journal.getMeta('job');
      if (owner === undefined && access === 'write') journal.setMeta('job', job);
      else if (owner !== job) {
        throw new LongshoreError(
          'JOURNAL_FOREIGN',
          `the journal in ${folder} belongs to a ${String(owner)} run, not to ${job}`,
          {
            hint: 'name another run, or another folder with --state',
          },
        );
      }
      return journal;
    } catch (error) {
      db?.close();
      lock?.close();
      const known = journalError(error, folder);
      if (known instanceof LongshoreError) throw known;
      throw new LongshoreError('JOURNAL_FOREIGN', `the file ${path} is not a journal`, {
        cause: error,
        hint: 'move the folder away to begin anew',
      });
    }
  }

  /** Keeps other processes from beginning a run in the same state folder; waits for one that does. */
  static lockFolder(stateFolder: string): Disposable {
    makeFolder(stateFolder);
    const lock = takeLock(stateFolder, START_TIMEOUT_MS);
    return { [Symbol.dispose]: () => lock.close() };
  }

  /** Whether a process holds the lock of the run in `folder`. */
  static isLocked(folder: string): boolean {
    const path = join(folder, 'lock.sqlite');
    if (!existsSync(path)) return false;
    const lock = new DatabaseSync(path, { timeout: 0, readOnly: true });
    try {
      lock.prepare('SELECT count(*) FROM sqlite_schema').get();
      return false;
    } catch {
      return true;
    } finally {
      lock.close();
    }
  }

  getMeta(name: string): unknown {
    const row = this.#sql('SELECT value FROM meta WHERE name = ?').get(name);
    return row === undefined ? undefined : JSON.parse(String(row['value']));
  }

  setMeta(name: string, value: unknown): void {
    this.#sql(
      'INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    ).run(name, JSON.stringify(value));
  }

  /** Runs `work` in one transaction: all of it is durable, or none. */
  transaction<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk has rolled back already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw journalError(error, this.folder);
    }
  }

  /** Adds shards to be done. */
  addShards(stage: string, pass: number, specs: readonly unknown[]): void {
    if (specs.length === 0) return;
    const insert = this.#sql("INSERT INTO shards (stage, pass, spec, state) VALUES (?, ?, ?, 'open')");
    this.transaction(() => {
      for (const spec of specs) insert.run(stage, pass, JSON.stringify(spec));
    });
  }

  /** Forgets the shards of a stage that was being laid out when the process died. */
  dropShards(stage: string, pass: number): void {
    this.#sql('DELETE FROM shards WHERE stage = ? AND pass = ?').run(stage, pass);
  }

  /** The shards of a stage that are not done, in the order they were added; those that failed are tried again. */
  *openShards(stage: string, pass: number): Generator<Shard> {
    const select = this.#sql(
      "SELECT id, spec FROM shards WHERE stage = ? AND pass = ? AND state <> 'done' AND id > ? ORDER BY id LIMIT 256",
    );
    for (let last = 0; ; ) {
      const rows = select.all(stage, pass, last);
      if (rows.length === 0) return;
      for (const row of rows) {
        last = Number(row['id']);
        yield { id: last, stage, pass, spec: JSON.parse(String(row['spec'])) };
      }
    }
  }

  /** Records how a shard ended, with its lines of detail. */
  finish(
    shard: Shard,
    state: 'done' | 'failed',
    outcome: unknown,
    details: readonly DetailLine[],
    finishedMs: number,
  ): void {
    const detail = packLines(details);
    this.#sql('UPDATE shards SET state = ?, outcome = ?, detail = ?, finished_ms = ? WHERE id = ?').run(
      state,
      JSON.stringify(outcome),
      detail,
      finishedMs,
      shard.id,
    );
  }

  /**
   * Records a part of what a shard did, before the shard ends, and forgets the intents that led to it. A part counts
   * as a finished shard of the same stage and pass.
   */
  addPart(
    shard: Pick<Shard, 'id' | 'stage' | 'pass'>,
    outcome: unknown,
    details: readonly DetailLine[],
    intents: readonly number[],
    finishedMs: number,
  ): void {
    const detail = packLines(details);
    this.transaction(() => {
      this.#sql(
        `INSERT INTO shards (stage, pass, parent, spec, state, outcome, detail, finished_ms)
         VALUES (?, ?, ?, '{}', 'done', ?, ?, ?)`,
      ).run(shard.stage, shard.pass, shard.id, JSON.stringify(outcome), detail, finishedMs);
      for (const id of intents) this.dropIntent(id);
    });
  }

  /** The shard with an id, if there is one. */
  shard(id: number): Shard | undefined {
    const row = this.#sql('SELECT stage, pass, spec FROM shards WHERE id = ?').get(id);
    if (row === undefined) return undefined;
    return {
      id,
      stage: String(row['stage']),
      pass: Number(row['pass']),
      spec: JSON.parse(String(row['spec'])),
    };
  }

  /** The lines of detail of the parts of a shard. */
  *partDetails(shardId: number): Generator<DetailLine> {
    const rows = this.#sql('SELECT id FROM shards WHERE parent = ? ORDER BY id').all(shardId);
    for (const row of rows) yield* this.details(Number(row['id']));
  }

  /** Makes a shard that is done one that is to be done again. */
  reopen(id: number): void {
    this.#sql("UPDATE shards SET state = 'open' WHERE id = ?").run(id);
  }

  /** Adds a shard that is done already. Called inside {@link transaction}. */
  addFinished(
    stage: string,
    pass: number,
    spec: unknown,
    outcome: unknown,
    details: readonly DetailLine[],
    finishedMs: number,
  ): void {
    this.#sql(
      "INSERT INTO shards (stage, pass, spec, state, outcome, detail, finished_ms) VALUES (?, ?, ?, 'done', ?, ?, ?)",
    ).run(stage, pass, JSON.stringify(spec), JSON.stringify(outcome), packLines(details), finishedMs);
  }

  /** Records what is about to be done, before it is. */
  addIntent(shardId: number, lines: readonly DetailLine[]): number {
    const result = this.#sql('INSERT INTO intents (shard_id, detail) VALUES (?, ?)').run(
      shardId,
      packLines(lines),
    );
    return Number(result.lastInsertRowid);
  }

  /** Forgets an intent that came to nothing. */
  dropIntent(id: number): void {
    this.#sql('DELETE FROM intents WHERE id = ?').run(id);
  }

  /** Intents whose outcome was not recorded: the process died, or the shard is being done. */
  intents(shardId?: number): Intent[] {
    const rows =
      shardId === undefined
        ? this.#sql('SELECT id, shard_id, detail FROM intents ORDER BY id').all()
        : this.#sql('SELECT id, shard_id, detail FROM intents WHERE shard_id = ? ORDER BY id').all(shardId);
    return rows.map((row) => ({
      id: Number(row['id']),
      shardId: Number(row['shard_id']),
      lines: unpackLines(row['detail'] as Uint8Array | null),
    }));
  }

  /** How many shards of a stage are in each state. */
  counts(stage: string, pass?: number): { open: number; done: number; failed: number } {
    const rows =
      pass === undefined
        ? this.#sql(
            'SELECT state, count(*) AS n FROM shards WHERE stage = ? AND parent IS NULL GROUP BY state',
          ).all(stage)
        : this.#sql(
            'SELECT state, count(*) AS n FROM shards WHERE stage = ? AND pass = ? AND parent IS NULL GROUP BY state',
          ).all(stage, pass);
    const counts = { open: 0, done: 0, failed: 0 };
    for (const row of rows) counts[row['state'] as keyof typeof counts] = Number(row['n']);
    return counts;
  }

  /** Finished shards, of a stage and pass or of all, oldest first (`desc`: newest first), without their details. */
  *finished(which: FinishedFilter = {}, order: 'asc' | 'desc' = 'asc'): Generator<FinishedShard> {
    const filter = Object.fromEntries(
      Object.entries(which).filter((entry): entry is [string, string | number] => entry[1] !== undefined),
    );
    const where = Object.keys(filter)
      .map((name) => `${name} = :${name} AND`)
      .join(' ');
    const select = this.#sql(
      `SELECT id, stage, pass, spec, state, outcome, finished_ms FROM shards
       WHERE ${where} state <> 'open' AND id ${order === 'asc' ? '>' : '<'} :last ORDER BY id ${order} LIMIT 256`,
    );
    for (let last = order === 'asc' ? 0 : Number.MAX_SAFE_INTEGER; ; ) {
      const rows = select.all({ ...filter, last });
      if (rows.length === 0) return;
      for (const row of rows) {
        last = Number(row['id']);
        yield {
          id: last,
          stage: String(row['stage']),
          pass: Number(row['pass']),
          spec: JSON.parse(String(row['spec'])),
          state: row['state'] as 'done' | 'failed',
          outcome: JSON.parse(String(row['outcome'])),
          finishedMs: Number(row['finished_ms']),
        };
      }
    }
  }

  /** The lines of detail of a finished shard. */
  details(shardId: number): DetailLine[] {
    const row = this.#sql('SELECT detail FROM shards WHERE id = ?').get(shardId);
    return unpackLines((row?.['detail'] ?? null) as Uint8Array | null);
  }

  /** The same, still compressed: members of a gzip file, which may be put one after another. */
  packedDetails(shardId: number): Uint8Array | undefined {
    const row = this.#sql('SELECT detail FROM shards WHERE id = ?').get(shardId);
    return (row?.['detail'] ?? undefined) as Uint8Array | undefined;
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    if (!this.#db.isOpen) return;
    this.#db.close();
    this.#lock?.close();
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

/** Lines as one gzip member of NDJSON; null for none. */
function packLines(lines: readonly DetailLine[]): Uint8Array | null {
  if (lines.length === 0) return null;
  let text = '';
  for (const line of lines) text += `${JSON.stringify(line)}\n`;
  return gzipSync(text, { level: 1 });
}

function unpackLines(packed: Uint8Array | null): DetailLine[] {
  if (packed === null) return [];
  const text = gunzipSync(packed).toString('utf8');
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as DetailLine);
}

/** Folder by folder: making all of them at once never ends on some file systems. @throws CONFIG_INVALID */
function makeFolder(folder: string): void {
  try {
    if (existsSync(folder)) return;
    const up = dirname(folder);
    if (up !== folder) makeFolder(up);
    mkdirSync(folder);
  } catch (error) {
    if (error instanceof LongshoreError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw new LongshoreError('CONFIG_INVALID', `cannot keep the journal in ${folder}: ${messageOf(error)}`, {
      cause: error,
      hint: 'name a folder that can be written to with --state',
    });
  }
}

/** A lock that the system releases when the process dies, however it dies. */
function takeLock(folder: string, timeoutMs = LOCK_TIMEOUT_MS): DatabaseSync {
  // Long enough for someone who only looks whether it is locked.
  const lock = new DatabaseSync(join(folder, 'lock.sqlite'), { timeout: timeoutMs });
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    return lock;
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw journalError(error, folder);
    throw new LongshoreError('RUN_LOCKED', `another process works on the run in ${folder}`, {
      cause: error,
      hint: 'wait for it or stop it; `longshore status` shows how far it is',
    });
  }
}

/** What the disk does not let us write. */
function journalError(error: unknown, folder: string): unknown {
  const errcode = (error as { errcode?: number } | null)?.errcode;
  if (error instanceof LongshoreError || errcode === undefined) return error;
  // The low byte is the primary code.
  if (!CANNOT_WRITE.has(errcode & 0xff)) return error;
  return new LongshoreError(
    'JOURNAL_UNWRITABLE',
    `cannot write the journal in ${folder}: ${messageOf(error)}`,
    {
      cause: error,
      hint: 'make room, or let the folder be written to, and run the same command again',
    },
  );
}

const SQLITE_BUSY = 5;
/** SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN */
const CANNOT_WRITE: ReadonlySet<number> = new Set([8, 10, 13, 14]);
const LOCK_TIMEOUT_MS = 250;
const START_TIMEOUT_MS = 30_000;
const SCHEMA_VERSION = 1;
const SCHEMA = `
BEGIN;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE shards (
  id INTEGER PRIMARY KEY,
  stage TEXT NOT NULL,
  pass INTEGER NOT NULL,
  parent INTEGER,
  spec TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'done', 'failed')),
  outcome TEXT,
  detail BLOB,
  finished_ms INTEGER
) STRICT;
CREATE INDEX shards_by_stage ON shards (stage, pass, state, id);
CREATE INDEX shards_by_parent ON shards (parent, id) WHERE parent IS NOT NULL;
CREATE TABLE intents (id INTEGER PRIMARY KEY, shard_id INTEGER NOT NULL, detail BLOB) STRICT;
CREATE INDEX intents_by_shard ON intents (shard_id);
PRAGMA user_version = ${SCHEMA_VERSION};
COMMIT;
`;
