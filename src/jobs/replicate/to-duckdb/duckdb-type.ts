/** What the columns of files become in DuckDB, and what DuckDB cannot hold. Pure. */

import { literal } from './duckdb-file.ts';

/** A column as manifests describe it. */
interface FileColumn {
  readonly name: string;
  /** Of PostgreSQL. */
  readonly type: string;
  readonly parquet: string;
}

/** PostgreSQL's type where DuckDB has it and Parquet has not; else what the file has. */
export function duckDbType({ type, parquet }: Omit<FileColumn, 'name'>): string {
  if (parquet === 'STRING') return BY_TYPE.get(type) ?? 'VARCHAR';
  return BY_PARQUET.get(parquet) ?? parquet;
}

/** Values that are NULL in the column, and text in `_unfit`; undefined where there are none. */
export function duckDbUnfit(column: Omit<FileColumn, 'name'>): string | undefined {
  const type = duckDbType(column);
  if (type === 'JSON') return 'what DuckDB does not take for JSON';
  if (type.startsWith('DECIMAL')) return 'NaN';
  return type.startsWith('TIMESTAMP') ? 'after the year 294246' : undefined;
}

/** How a value of a file is read. */
export interface FieldSql {
  /** In the type of the column; NULL where that cannot hold it. */
  readonly value: string;
  /** The text of a value that the column cannot hold; undefined where it holds every one. */
  readonly left: string | undefined;
}

/**
 * @param at the value in the file, in SQL
 * @param unfit the map of the file's side column, in SQL; undefined where it has none
 */
export function fieldSql(column: FileColumn, at: string, unfit: string | undefined): FieldSql {
  const type = duckDbType(column);
  const aside = unfit === undefined ? 'NULL' : `${unfit}[${literal(column.name)}]`;
  if (type === 'UUID' || type === 'JSON') {
    const value = `TRY_CAST(${at} AS ${type})`;
    return { value, left: `CASE WHEN ${value} IS NULL THEN ${at} END` };
  }
  if (type.startsWith('DECIMAL')) return { value: at, left: aside };
  if (!/^(DATE|TIME|TIMESTAMP|TIMESTAMPTZ)$/.test(type)) return { value: at, left: undefined };
  // Infinity and 24:00:00 are dates and times to DuckDB.
  const value = `coalesce(${at}, TRY_CAST(${aside} AS ${type}))`;
  return { value, left: `CASE WHEN ${value} IS NULL THEN ${aside} END` };
}

const BY_TYPE = new Map([
  ['uuid', 'UUID'],
  ['json', 'JSON'],
  ['jsonb', 'JSON'],
]);

const BY_PARQUET = new Map([
  ['BOOLEAN', 'BOOLEAN'],
  ['INT32 (INT 16)', 'SMALLINT'],
  ['INT32', 'INTEGER'],
  ['INT64', 'BIGINT'],
  ['FLOAT', 'FLOAT'],
  ['DOUBLE', 'DOUBLE'],
  ['DATE', 'DATE'],
  ['TIME(MICROS)', 'TIME'],
  ['TIMESTAMP(MICROS, UTC)', 'TIMESTAMPTZ'],
  ['TIMESTAMP(MICROS, local)', 'TIMESTAMP'],
  ['BYTE_ARRAY', 'BLOB'],
]);
