/**
 * A DuckDB database file, opened to be worked on and closed right after: as long as a process may write it, DuckDB lets
 * no other process read it. Where others read it, it is waited for.
 */

import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { LongshoreError, messageOf } from '../../../errors.ts';
import { type Clock, monotonicMs } from '../../../flow/clock.ts';

export interface DuckDbFileOptions {
  readonly path: string;
  readonly threads: number;
  readonly clock: Clock;
  /** Interrupts what is being done, too. */
  readonly signal: AbortSignal;
  /** Told once, when another program has had the file open for some time. */
  readonly onWait: (text: string) => void;
}

/** A value of a row: text for what JavaScript has no number for. */
export type Cell = string | number | boolean | null;

/** The database in statements: names have three parts, since its own name may be that of a schema. */
export const DATABASE = 'warehouse';

const MEMORY_LIMIT = '1GiB';
const LOOK_MS = 100;
const TELL_MS = 5_000;

export class DuckDbFile implements Disposable {
  readonly path: string;
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #signal: AbortSignal;
  readonly #interrupt = (): void => this.#connection.interrupt();

  private constructor(
    { path, signal }: DuckDbFileOptions,
    instance: DuckDBInstance,
    connection: DuckDBConnection,
  ) {
    this.path = path;
    this.#instance = instance;
    this.#connection = connection;
    this.#signal = signal;
    signal.addEventListener('abort', this.#interrupt, { once: true });
  }

  /**
   * Opens the file, or makes it.
   * @throws CHECK_FAILED where DuckDB is not installed; DATABASE_FAILED where the file is none of its own
   */
  static async open(options: DuckDbFileOptions): Promise<DuckDbFile> {
    const { path, threads } = options;
    const { DuckDBInstance } = await installedDuckDb();
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(threads),
      memory_limit: MEMORY_LIMIT,
      temp_directory: `${path}.tmp`,
      preserve_insertion_order: 'false',
    });
    const file = new DuckDbFile(options, instance, await instance.connect());
    try {
      await file.run("SET TimeZone = 'UTC'");
      await file.#attach(options);
      return file;
    } catch (error) {
      file[Symbol.dispose]();
      throw error;
    }
  }

  async run(sql: string): Promise<void> {
    await this.#do(() => this.#connection.run(sql));
  }

  async rows(sql: string): Promise<Cell[][]> {
    const reader = await this.#do(() => this.#connection.runAndReadAll(sql));
    return reader.getRowsJson() as Cell[][];
  }

  /** Commits what the work did, or takes it back; after an error the file is good for nothing but to be closed. */
  async transaction<T>(work: () => Promise<T>, end: 'COMMIT' | 'ROLLBACK' = 'COMMIT'): Promise<T> {
    await this.run('BEGIN');
    const result = await work();
    await this.run(end);
    return result;
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#interrupt);
    this.#connection.closeSync();
    this.#instance.closeSync();
  }

  async #attach({ path, clock, signal, onWait }: DuckDbFileOptions): Promise<void> {
    const startedMs = monotonicMs(clock);
    for (let told = false; ; await clock.wait(LOOK_MS, signal)) {
      try {
        await this.run(`ATTACH ${literal(path)} AS ${DATABASE} (TYPE duckdb)`);
        return;
      } catch (error) {
        if (!/could not set lock on file/i.test(messageOf(error))) throw error;
        if (told || monotonicMs(clock) - startedMs < TELL_MS) continue;
        told = true;
        onWait(`another program has ${path} open: what is landed waits until it closes it`);
      }
    }
  }

  async #do<T>(work: () => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      this.#signal.throwIfAborted();
      // Behind the first line stand the statement, and perhaps values.
      const [what] = messageOf(error).split('\n');
      throw new LongshoreError('DATABASE_FAILED', `DuckDB cannot work on ${this.path}: ${what}`, {
        cause: error,
      });
    }
  }
}

/** @throws CHECK_FAILED where it is not installed */
export async function installedDuckDb(): Promise<typeof import('@duckdb/node-api')> {
  try {
    return await import('@duckdb/node-api');
  } catch (error) {
    // The package, or the part of it for this platform.
    if (!/^(ERR_)?MODULE_NOT_FOUND$/.test((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new LongshoreError('CHECK_FAILED', 'DuckDB is not installed', {
      cause: error,
      hint: 'npm install @duckdb/node-api',
    });
  }
}

export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** `warehouse."schema"."table"` */
export function tableName({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${DATABASE}.${quoted(schema)}.${quoted(name)}`;
}
