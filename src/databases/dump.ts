/**
 * What backup, restore and drill ask of a database engine: a dump as a stream of bytes with the facts that it holds, and a
 * database that a dump is brought back into, with the same facts read there.
 */

import type { Readable } from 'node:stream';

/** `custom` and `directory` are those of pg_dump; `plain` is a script of SQL. */
export type DumpFormat = 'custom' | 'plain' | 'directory';

/** The rows of a table, whatever their order. */
export interface TableFacts {
  /** Empty of MySQL and MariaDB: a dump is restored into a database of any name. */
  readonly schema: string;
  readonly name: string;
  readonly rows: number;
  /** 16 hexadecimal digits of the rows as the dump spells them; see `row-digest.ts`. */
  readonly digest: string;
}

/** What a dump holds, and a database that was restored from it has to hold. */
export interface DumpFacts {
  /** In the order of schema and name. */
  readonly tables: readonly TableFacts[];
  /**
   * Where each stands, by its quoted name with the schema: `public.orders_id_seq` → `17 true`. Of MariaDB without the
   * database: `order_numbers` → `3007 0`.
   */
  readonly sequences: Readonly<Record<string, string>>;
  /** What else there is, in order: `view public.totals`, `index public.orders_pkey`, `trigger public.orders.audit`. */
  readonly objects: readonly string[];
  /** Of PostgreSQL. */
  readonly largeObjects: number;
}

/** Connections that read or load at the same time, where nothing else is said. */
export const JOBS = 2;

export interface DumpProgram {
  /** `pg_dump`, `mariadb-dump` */
  readonly name: string;
  readonly path: string;
  /** `15.19` */
  readonly version: string;
}

export interface DumpServer {
  readonly product: 'PostgreSQL' | 'MariaDB' | 'MySQL';
  /** `15.19`, `10.11.19` */
  readonly version: string;
}

export interface DumpOptions {
  /** That of the engine where it is left out: `custom` of PostgreSQL, `plain` of MySQL and MariaDB. */
  readonly format?: DumpFormat | undefined;
  /** A folder of client programs, looked at before all others. */
  readonly clientFolder?: string | undefined;
  /** Milliseconds that a locked table is waited for. */
  readonly lockWaitMs?: number | undefined;
  /** Of the roles in the globals; left out where the server does not let them be read. */
  readonly rolePasswords?: boolean | undefined;
  /** As {@link RestoreOptions.asCopy}. */
  readonly asCopy?: boolean | undefined;
  /** As {@link RestoreOptions.noTablespaces}. */
  readonly noTablespaces?: boolean | undefined;
}

/** A dump that can begin: the server was asked, the client chosen, a snapshot taken where the engine can export one. */
export interface PreparedDump extends AsyncDisposable {
  readonly server: DumpServer;
  readonly client: DumpProgram;
  readonly database: string;
  readonly format: DumpFormat;
  /** `.dump`, `.sql`, `.tar` */
  readonly extension: string;
  /** What a restore needs there before: roles of PostgreSQL, definers of MySQL and MariaDB as `user@host`. */
  readonly accounts: readonly string[];
  /** `name version` */
  readonly extensions: readonly string[];
  /** What is no failure and should be known: tables that are not dumped consistently. */
  readonly notices: readonly string[];
  /** About how many bytes of tables there are. */
  readonly bytesEstimate: number;
  /**
   * The bytes of the dump, once. It fails with a LongshoreError unless the program has closed with code 0, the end of the
   * dump was seen, and every table that the server has is in it; ends only then.
   */
  stream(signal: AbortSignal): Readable;
  /** When the stream has ended. */
  facts(): DumpFacts;
  /** A script that makes the roles again; undefined where the engine has none of it, or does not let it be read. */
  globals(signal: AbortSignal): Promise<Buffer | undefined>;
}

export interface RestoreOptions {
  readonly clientFolder?: string | undefined;
  /** Whatever was owned by or granted to others belongs to whoever restores; of PostgreSQL. */
  readonly noOwner?: boolean | undefined;
  /**
   * Beside the database that it is of, which goes on: subscriptions of PostgreSQL are left out, since their slots are those
   * of that one, and events of MySQL and MariaDB are made disabled.
   */
  readonly asCopy?: boolean | undefined;
  /** Whether everything comes into the tablespace of the database; of PostgreSQL. */
  readonly noTablespaces?: boolean | undefined;
  /** Connections that load, where the format can be loaded by several. */
  readonly jobs?: number | undefined;
}

/** A database that a dump is restored into. */
export interface RestoreTarget extends AsyncDisposable {
  readonly server: DumpServer;
  readonly database: string;
  /** Tables, views, routines, … that are there, some of their names; empty for a database that may be restored into. */
  contents(): Promise<readonly string[]>;
  /** Of {@link PreparedDump.accounts}, those that are not there. */
  missingAccounts(accounts: readonly string[]): Promise<string[]>;
  /** Of {@link PreparedDump.extensions}, those that the server does not have, each as `name`. */
  missingExtensions(extensions: readonly string[]): Promise<string[]>;
  /** Runs the script of {@link PreparedDump.globals}; what is there already stays. */
  restoreGlobals(script: string, signal: AbortSignal): Promise<void>;
  /**
   * Brings the dump back, and ends where it does.
   * @throws DATABASE_FAILED at the first error, with what the client said
   */
  restore(dump: Readable, format: DumpFormat, signal: AbortSignal): Promise<void>;
  /** What is there now, in the words of the dump. @param like what the dump held */
  facts(like: DumpFacts, signal: AbortSignal): Promise<DumpFacts>;
  /** Runs a query for an assertion. @returns the first column of the first row as text; undefined where there is none */
  ask(query: string, signal: AbortSignal): Promise<string | undefined>;
}
