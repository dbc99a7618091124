/** A MySQL or MariaDB database whose rows name objects. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import type { ColumnFacts, ColumnRef, Database, KeyRange, NamingRow, RowChange } from '../database.ts';
import { describeColumn } from './catalogue.ts';
import { MysqlConnections } from './connections.ts';
import type { Doing } from './errors.ts';
import { rewriteRows } from './rewrite.ts';
import { namingRows, ranges, sample, scan } from './scan.ts';
import { rowsByKeyText, rowsWithValueText } from './sql.ts';

export class MysqlDatabase implements Database {
  readonly dialect = 'mysql';
  readonly name: string;
  readonly #user: string | undefined;
  readonly #database: string;
  readonly #connections: MysqlConnections;

  /** Connects when the first method is called, with at most `connections` at a time. */
  constructor(url: DatabaseUrl, options: { readonly connections: number }) {
    this.name = url.name;
    this.#user = url.connection.user;
    this.#database = url.connection.database;
    this.#connections = new MysqlConnections(url.connection, options.connections);
  }

  describe(ref: ColumnRef, signal?: AbortSignal): Promise<ColumnFacts> {
    const doing: Doing = {
      action: `read the catalogue of ${this.name}`,
      database: this.name,
      user: this.#user,
    };
    return this.#connections.use(doing, signal, (client) =>
      describeColumn(client, ref, this.#database, this.name),
    );
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
    if (values.length === 0) return [];
    return this.#connections.use(this.#doing('read rows of', column), signal, async (client) =>
      namingRows(await client.rows(rowsWithValueText(column, values))),
    );
  }

  async rowsByKey(
    column: ColumnFacts,
    primaryKeys: readonly (readonly string[])[],
    signal?: AbortSignal,
  ): Promise<NamingRow[]> {
    if (primaryKeys.length === 0 || column.primaryKey.length === 0) return [];
    return this.#connections.use(this.#doing('read rows of', column), signal, async (client) =>
      namingRows(await client.rows(rowsByKeyText(column, primaryKeys))),
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

  /** A primary does not know how far its replicas are behind; each replica knows it only of itself. */
  async replicaLagMs(signal?: AbortSignal): Promise<number | undefined> {
    signal?.throwIfAborted();
    return undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connections[Symbol.asyncDispose]();
  }

  #doing(action: string, column: ColumnFacts): Doing {
    return { action: `${action} ${column.name}`, database: this.name, user: this.#user, column };
  }
}
