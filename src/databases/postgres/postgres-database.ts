/** A PostgreSQL database whose rows name objects. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import type { ColumnFacts, ColumnRef, Database, KeyRange, NamingRow, RowChange } from '../database.ts';
import { describeColumn } from './catalogue.ts';
import { PostgresConnections } from './connections.ts';
import type { Doing } from './errors.ts';
import { rewriteRows } from './rewrite.ts';
import { namingRows, queryRows, ranges, sample, scan } from './scan.ts';
import { rowsByKeyStatement, rowsWithValueStatement } from './sql.ts';

export class PostgresDatabase implements Database {
  readonly dialect = 'postgres';
  readonly name: string;
  readonly #user: string | undefined;
  readonly #connections: PostgresConnections;

  /** Connects when the first method is called, with at most `connections` at a time. */
  constructor(url: DatabaseUrl, options: { readonly connections: number }) {
    this.name = url.name;
    this.#user = url.connection.user;
    this.#connections = new PostgresConnections(url.connection, options.connections);
  }

  describe(ref: ColumnRef, signal?: AbortSignal): Promise<ColumnFacts> {
    const doing: Doing = {
      action: `read the catalogue of ${this.name}`,
      database: this.name,
      user: this.#user,
    };
    return this.#connections.use(doing, signal, (client) => describeColumn(client, ref, this.name));
  }

  ranges(column: ColumnFacts, rowsPerRange: number, signal?: AbortSignal): AsyncIterable<KeyRange> {
    return ranges(this.#connections, this.#doing('read rows of', column), column, rowsPerRange, signal);
  }

  scan(
    column: ColumnFacts,
    range: KeyRange,
    options: { needles?: readonly string[]; batchRows: number },
    signal?: AbortSignal,
  ): AsyncIterable<NamingRow[]> {
    return scan(this.#connections, this.#doing('read rows of', column), column, range, options, signal);
  }

  async rowsWithValue(
    column: ColumnFacts,
    values: readonly string[],
    signal?: AbortSignal,
  ): Promise<NamingRow[]> {
    // No text of PostgreSQL holds U+0000, and it may not be sent.
    const possible = values.filter((value) => !value.includes('\0'));
    if (possible.length === 0) return [];
    return this.#connections.use(this.#doing('read rows of', column), signal, (client) =>
      namingRows(client, rowsWithValueStatement(column, possible)),
    );
  }

  async rowsByKey(
    column: ColumnFacts,
    primaryKeys: readonly (readonly string[])[],
    signal?: AbortSignal,
  ): Promise<NamingRow[]> {
    if (primaryKeys.length === 0 || column.primaryKey.length === 0) return [];
    return this.#connections.use(this.#doing('read rows of', column), signal, (client) =>
      namingRows(client, rowsByKeyStatement(column, primaryKeys)),
    );
  }

  async rewrite(
    column: ColumnFacts,
    changes: readonly RowChange[],
    beforeCommit: (changed: readonly RowChange[]) => void,
    signal?: AbortSignal,
  ): Promise<RowChange[]> {
    if (changes.length === 0) return [];
    let refusal: { readonly error: unknown } | undefined;
    const guarded = (changed: readonly RowChange[]) => {
      try {
        beforeCommit(changed);
      } catch (error) {
        refusal = { error };
        throw error;
      }
    };
    try {
      return await this.#connections.use(this.#doing('rewrite rows of', column), signal, (client) =>
        rewriteRows(client, column, changes, guarded),
      );
    } catch (error) {
      // What the caller threw goes back to the caller as it is.
      throw refusal === undefined ? error : refusal.error;
    }
  }

  sample(column: ColumnFacts, count: number, signal?: AbortSignal): Promise<string[]> {
    return sample(this.#connections, this.#doing('sample rows of', column), column, count, signal);
  }

  /** Seen by roles that are members of `pg_monitor`. */
  async replicaLagMs(signal?: AbortSignal): Promise<number | undefined> {
    const doing: Doing = {
      action: `read the replicas of ${this.name}`,
      database: this.name,
      user: this.#user,
    };
    const text = `SELECT (max(extract(epoch FROM coalesce(replay_lag, '0'))) * 1000)::float8
                  FROM pg_stat_replication WHERE state IN ('streaming', 'catchup')`;
    const rows = await this.#connections.use(doing, signal, (client) =>
      queryRows(client, { text, values: [] }),
    );
    const lag = rows[0]?.[0];
    return lag === null || lag === undefined ? undefined : Number(lag);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connections[Symbol.asyncDispose]();
  }

  #doing(action: string, column: ColumnFacts): Doing {
    return { action: `${action} ${column.name}`, database: this.name, user: this.#user, column };
  }
}
