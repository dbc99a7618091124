/** The SQL that makes a role with the least grants: the key and the column may be read, the column changed. Pure. */

import { type DatabaseUrl, parseDatabaseUrl } from '../../config/database-url.ts';
import type { ColumnFacts, ColumnRef, Database } from '../../databases/database.ts';
import * as mysql from '../../databases/mysql/sql.ts';
import * as postgres from '../../databases/postgres/sql.ts';
import type { MoveSettings } from './settings.ts';

/** A column that was described; a `BoundColumn` is one. */
export interface DescribedColumn {
  readonly facts: ColumnFacts;
  readonly database: Pick<Database, 'name'>;
}

/** Statements for the administrator of one database. */
export interface SqlGrants {
  /** As a person would write it, without the password. */
  readonly database: string;
  readonly dialect: 'postgres' | 'mysql';
  readonly statements: readonly string[];
}

/**
 * One entry a database. Where a column was not described its key is not known, and `SELECT` is on the whole table.
 * The password is left to be filled in.
 */
export function sqlGrants(
  settings: MoveSettings,
  described: readonly DescribedColumn[],
  role: string,
  env: Readonly<Record<string, string | undefined>>,
): SqlGrants[] {
  const databases = new Map<string, { url: DatabaseUrl; refs: ColumnRef[] }>();
  for (const text of settings.rows) {
    const url = parseDatabaseUrl(text, env);
    const entry = databases.get(url.name) ?? { url, refs: [] };
    entry.refs.push(...url.columns);
    databases.set(url.name, entry);
  }
  return [...databases.values()].map(({ url, refs }) => {
    const facts = described
      .filter(({ database }) => database.name === url.name)
      .map((column) => column.facts);
    const tables = tablesOf(url.dialect, refs, facts);
    const write = url.dialect === 'postgres' ? postgresStatements : mysqlStatements;
    return { database: url.name, dialect: url.dialect, statements: write(url, tables, role) };
  });
}

/** A table with the columns that may be read, or all of them, and those that may be changed. */
interface GrantedTable {
  readonly schema: string | undefined;
  readonly table: string;
  readonly select: Set<string> | 'all';
  readonly update: Set<string>;
}

function tablesOf(
  dialect: 'postgres' | 'mysql',
  refs: readonly ColumnRef[],
  described: readonly ColumnFacts[],
): GrantedTable[] {
  const tables = new Map<string, GrantedTable>();
  for (const ref of refs) {
    const facts = described.find((known) => isOf(known, ref));
    const { schema, table, column } = facts?.ref ?? ref;
    const name = JSON.stringify([schema, table]);
    const granted: GrantedTable = tables.get(name) ?? {
      schema,
      table,
      select: facts === undefined ? 'all' : new Set(keyColumns(facts, dialect)),
      update: new Set(),
    };
    if (granted.select !== 'all') granted.select.add(column);
    granted.update.add(column);
    tables.set(name, granted);
  }
  return [...tables.values()];
}

/** Rows without a key are read in ranges of their place in the table, which PostgreSQL calls ctid. */
function keyColumns({ primaryKey }: ColumnFacts, dialect: 'postgres' | 'mysql'): string[] {
  if (primaryKey.length > 0) return primaryKey.map(({ name }) => name);
  return dialect === 'postgres' ? ['ctid'] : [];
}

function isOf({ ref }: ColumnFacts, wanted: ColumnRef): boolean {
  return (
    ref.table === wanted.table &&
    ref.column === wanted.column &&
    (wanted.schema === undefined || ref.schema === wanted.schema)
  );
}

const PASSWORD = '<password>';

function postgresStatements(url: DatabaseUrl, tables: readonly GrantedTable[], role: string): string[] {
  const to = postgres.quoteName(role);
  const schemas = new Set(tables.map(({ schema }) => schema ?? 'public'));
  const list = (names: Iterable<string>): string => [...names].map(postgres.quoteName).join(', ');
  return [
    `CREATE ROLE ${to} LOGIN PASSWORD '${PASSWORD}';`,
    `GRANT CONNECT ON DATABASE ${postgres.quoteName(url.connection.database)} TO ${to};`,
    ...[...schemas].map((schema) => `GRANT USAGE ON SCHEMA ${postgres.quoteName(schema)} TO ${to};`),
    ...tables.map(({ schema, table, select, update }) => {
      const name = `${postgres.quoteName(schema ?? 'public')}.${postgres.quoteName(table)}`;
      const read = select === 'all' ? 'SELECT' : `SELECT (${list(select)})`;
      return `GRANT ${read}, UPDATE (${list(update)}) ON ${name} TO ${to};`;
    }),
  ];
}

function mysqlStatements(url: DatabaseUrl, tables: readonly GrantedTable[], role: string): string[] {
  const to = `${mysql.quoteText(role)}@'%'`;
  const list = (names: Iterable<string>): string => [...names].map(mysql.quoteName).join(', ');
  return [
    `CREATE USER ${to} IDENTIFIED BY '${PASSWORD}';`,
    ...tables.map(({ schema, table, select, update }) => {
      const name = `${mysql.quoteName(schema ?? url.connection.database)}.${mysql.quoteName(table)}`;
      const read = select === 'all' ? 'SELECT' : `SELECT (${list(select)})`;
      return `GRANT ${read}, UPDATE (${list(update)}) ON ${name} TO ${to};`;
    }),
  ];
}
