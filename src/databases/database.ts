/**
 * The interface of a database whose rows name objects, and the plain data that goes through it.
 *
 * Primary keys travel as text, one string a key column, in the database's own output form; they are only ever
 * compared by the database itself, cast back to the column's type.
 */

/** A column that names objects. */
export interface ColumnRef {
  readonly schema?: string | undefined;
  readonly table: string;
  readonly column: string;
  /** Where in the value the reference stands; `auto` is decided by the column's type. */
  readonly within: ReferenceForm | 'auto';
}

/** `value`: the value is one reference. `json`: inside a document. `array`: an element. `text`: inside prose. */
export type ReferenceForm = 'value' | 'json' | 'array' | 'text';

/** What the catalogue says of a column and its table. */
export interface ColumnFacts {
  readonly ref: ColumnRef;
  /** As a person would write it: `public.avatars.path`. */
  readonly name: string;
  /** The table's kind; only tables and partitioned tables can be rewritten. */
  readonly kind: 'table' | 'partitioned' | 'foreign' | 'view' | 'other';
  /** The database's own name of the type. */
  readonly dataType: string;
  readonly within: ReferenceForm;
  /** Key columns in order, with their types; empty when the table has none. */
  readonly primaryKey: readonly { readonly name: string; readonly type: string }[];
  /** Whether `column = value` can be answered from an index. */
  readonly indexed: boolean;
  /** From statistics; an estimate. */
  readonly rowsEstimate: number;
  readonly generated: boolean;
  /** Enabled triggers that fire on an update of the column. */
  readonly updateTriggers: readonly string[];
  /** Longest value in characters, where the type limits it. */
  readonly lengthMax?: number | undefined;
  readonly canSelect: boolean;
  readonly canUpdate: boolean;
}

/** A row's identity and the column's value as text. `primaryKey` is empty where the table has none. */
export interface NamingRow {
  readonly primaryKey: readonly string[];
  readonly value: string;
}

/** A change of one row: the value only changes where it still is `oldValue`, byte for byte. */
export interface RowChange {
  readonly primaryKey: readonly string[];
  readonly oldValue: string;
  readonly newValue: string;
}

/** A range of primary keys: after `after`, up to and including `upTo`; undefined is unbounded. Plain data. */
export interface KeyRange {
  readonly after?: readonly string[] | undefined;
  readonly upTo?: readonly string[] | undefined;
}

/**
 * A database, limited to what rewriting references needs: `SELECT` and `UPDATE` on the tables and nothing else.
 *
 * Methods may be called concurrently and again after they failed, but not once it is disposed, which also rejects
 * calls that still wait for a connection. Each uses a pooled connection. Statements are parameterised; identifiers
 * are quoted. Every method rejects with a {@link LongshoreError}; a cancelled one with the signal's reason.
 * Cancelling the signal cancels the statement where the server allows it, else drops the connection, which rolls
 * back. Rows whose value is NULL name nothing and are never returned.
 */
export interface Database extends AsyncDisposable {
  readonly dialect: 'postgres' | 'mysql';
  /** As a person would write it, without the password: `postgres://user@host/db`. */
  readonly name: string;

  /**
   * Reads the catalogue.
   * @throws TABLE_NOT_FOUND, COLUMN_NOT_FOUND, DATABASE_DENIED where the server would hide rows from the role
   */
  describe(ref: ColumnRef, signal?: AbortSignal): Promise<ColumnFacts>;

  /** Ranges of about `rowsPerRange` rows that together hold every row; yields at least one. */
  ranges(column: ColumnFacts, rowsPerRange: number, signal?: AbortSignal): AsyncIterable<KeyRange>;

  /**
   * The rows of a range, in batches of at most `batchRows`, and of about 8 MiB where rows are large, so that memory
   * stays flat.
   * With `needles`, only rows whose value contains at least one of them, byte for byte.
   */
  scan(
    column: ColumnFacts,
    range: KeyRange,
    options: { needles?: readonly string[]; batchRows: number },
    signal?: AbortSignal,
  ): AsyncIterable<NamingRow[]>;

  /** The rows whose value equals one of `values`, byte for byte. For indexed columns. */
  rowsWithValue(column: ColumnFacts, values: readonly string[], signal?: AbortSignal): Promise<NamingRow[]>;

  /** Whether a row has that value is asked by primary key: the rows that still exist, with their value now. */
  rowsByKey(
    column: ColumnFacts,
    primaryKeys: readonly (readonly string[])[],
    signal?: AbortSignal,
  ): Promise<NamingRow[]>;

  /**
   * Changes rows in one transaction by one statement, each guarded by its old value. `beforeCommit` is called
   * with the rows that the statement changed, while the transaction is open: when it throws, nothing is changed.
   * A row that holds another value now, or is gone, is left alone and is not in the result.
   * Where a table has no primary key, every row that holds `oldValue` changes.
   * With an empty `primaryKey` in a change on an indexed column, rows are found by `oldValue`.
   * What `beforeCommit` throws comes back unchanged. A lock that is not had within a second is a
   * DATABASE_CONFLICT with `lockTimeout` in its context. Where a trigger, also one that fires after the update or at
   * the commit, leaves another value in a row, nothing is changed: DATABASE_FAILED.
   * @returns the rows changed, committed, each with the key that it had before the change
   */
  rewrite(
    column: ColumnFacts,
    changes: readonly RowChange[],
    beforeCommit: (changed: readonly RowChange[]) => void,
    signal?: AbortSignal,
  ): Promise<RowChange[]>;

  /** About `count` values, spread over the table; fewer where there are fewer, or where they are large. */
  sample(column: ColumnFacts, count: number, signal?: AbortSignal): Promise<string[]>;

  /** Time the slowest replica is behind, in milliseconds; undefined where there is none or it cannot be seen. */
  replicaLagMs(signal?: AbortSignal): Promise<number | undefined>;
}
