/**
 * In which form rows of a table are copied between servers, and the statements that copy a chunk. Pure, but for the
 * question about types.
 *
 * The binary form of some types holds object identifiers, which mean something else in another database: arrays and
 * composites of types that are not the system's own, names of relations and types. Some have no binary form at all, and
 * that of types of extensions is theirs to change. Tables with such columns are copied as text.
 */

import type pg from 'pg';
import { quoteName } from '../../../databases/postgres/sql.ts';
import { quotedTable, type SourceTable } from '../../../databases/postgres/table-catalogue.ts';
import type { Chunk } from '../load-ledger.ts';

export type CopyForm = 'binary' | 'text';

/** The oids of tables that can only be copied as text. */
export async function textTables(client: pg.ClientBase, tables: readonly number[]): Promise<Set<number>> {
  const { rows } = await client.query<{ oid: number }>(TEXT_TABLES, [tables]);
  return new Set(rows.map(({ oid }) => oid));
}

/** Objects from here on have other numbers in each database. */
const FIRST_USER_OID = 16384;

/** regproc, regprocedure, regoper, regoperator, regclass, regtype, regconfig, regdictionary, regnamespace, regrole, regcollation, xml */
const AS_TEXT = [24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, 142];

const TEXT_TABLES = `
WITH RECURSIVE used AS (
  SELECT a.attrelid AS table_oid, a.atttypid AS type, false AS inside FROM pg_attribute a
  WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  UNION SELECT u.table_oid, next.type, next.inside FROM used u JOIN pg_type t ON t.oid = u.type
  CROSS JOIN LATERAL (
    SELECT t.typbasetype AS type, false AS inside WHERE t.typtype = 'd'
    UNION ALL SELECT t.typelem, true WHERE t.typcategory = 'A' AND t.typelem <> 0
    UNION ALL SELECT a.atttypid, true FROM pg_attribute a
      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT r.rngsubtype, false FROM pg_range r WHERE r.rngtypid = t.oid
    UNION ALL SELECT r.rngtypid, false FROM pg_range r WHERE (to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid) next)
SELECT DISTINCT u.table_oid::int8::float8 AS oid FROM used u JOIN pg_type t ON t.oid = u.type
WHERE t.typsend = 0 OR t.typreceive = 0 OR t.oid = ANY ('{${AS_TEXT.join(',')}}')
  OR (t.typtype = 'b' AND t.typelem = 0 AND t.oid >= ${FIRST_USER_OID})
  OR (u.inside AND t.oid >= ${FIRST_USER_OID})`;

/** `COPY … TO STDOUT` of a chunk. A range of TIDs is a scan of these pages alone from PostgreSQL 14 on. */
export function copyOutText(table: SourceTable, { leaf, pages }: Chunk, form: CopyForm): string {
  const options = form === 'binary' ? ' (FORMAT binary)' : '';
  const columns = columnList(table);
  const conditions: string[] = [];
  if (pages !== undefined && pages.low > 0) conditions.push(`ctid >= '(${pages.low},0)'::tid`);
  if (pages?.high !== undefined) conditions.push(`ctid < '(${pages.high},0)'::tid`);
  if (conditions.length === 0)
    return `COPY ${quotedTable(leaf)}${columns === '' ? '' : ` (${columns})`} TO STDOUT${options}`;
  return `COPY (SELECT ${columns} FROM ONLY ${quotedTable(leaf)} WHERE ${conditions.join(' AND ')}) TO STDOUT${options}`;
}

/** `COPY … FROM STDIN` of a chunk, into the table or partition of the same name. */
export function copyInText(table: SourceTable, { leaf }: Chunk, form: CopyForm): string {
  const columns = columnList(table);
  const options = form === 'binary' ? ' (FORMAT binary)' : '';
  return `COPY ${quotedTable(leaf)}${columns === '' ? '' : ` (${columns})`} FROM STDIN${options}`;
}

function columnList({ columns }: SourceTable): string {
  return columns
    .filter(({ generated }) => !generated)
    .map(({ name }) => quoteName(name))
    .join(', ');
}
