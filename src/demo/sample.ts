/** What a sample database is made of: how it is loaded, what a program writes to it, which table is shown afterwards. */

import type { Session } from '../databases/postgres/open-session.ts';

export interface Sample {
  /** `a shop`, as the user reads it. */
  readonly title: string;
  /** Fills an empty database. */
  load(session: Session, signal: AbortSignal): Promise<void>;
  /** Statements of whole transactions, which the program runs in any order, again and again. */
  readonly transactions: readonly string[];
  /** Those that it runs once, one after another. */
  readonly once: readonly OnceTransaction[];
  readonly shown: ShownTable;
}

export interface OnceTransaction {
  /** `empties catalogue.coupons and fills it again` */
  readonly what: string;
  readonly statements: string;
}

/** A table that is put together from its files. */
export interface ShownTable {
  readonly schema: string;
  readonly table: string;
  readonly primaryKey: readonly string[];
  /** The key, and some more. */
  readonly columns: readonly string[];
  /** Of a few rows. */
  readonly orderBy: string;
  /** A query that PostgreSQL and DuckDB both understand; the table is `schema.table` in both. */
  readonly aggregate: string;
}
