/** What the catalogue of the source says of the columns of a table that changes of the stream have. */

import type pg from 'pg';
import type { Relation } from '../../../databases/postgres/pgoutput.ts';
import type { NamedColumn } from './column-changes.ts';
import type { JobColumn } from './target-state.ts';

/**
 * Columns of tables, without generated ones, by the oid of the table.
 * @param client with an empty search path, so that the names of types come with their schemas
 */
export async function readJobColumns(
  client: pg.ClientBase,
  oids: readonly number[],
): Promise<Map<number, JobColumn[]>> {
  const { rows } = await client.query<JobColumn & { readonly oid: number }>(
    `SELECT a.attrelid::int8::float8 AS oid, a.attname AS name, a.attnum AS number, format_type(a.atttypid, a.atttypmod) AS type
     FROM pg_attribute a
     WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     ORDER BY a.attrelid, a.attnum`,
    [oids],
  );
  const columns = new Map<number, JobColumn[]>(oids.map((oid) => [oid, []]));
  for (const { oid, name, number, type } of rows) columns.get(oid)!.push({ name, number, type });
  return columns;
}

/**
 * The columns of a relation with the names of their types.
 * @param client with an empty search path
 */
export async function namedColumns(
  client: pg.ClientBase,
  { columns }: Relation,
): Promise<readonly NamedColumn[]> {
  const { rows } = await client.query<{ type: string }>(
    `SELECT format_type(c.oid, c.modifier) AS type
     FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY AS c (oid, modifier, place)
     ORDER BY place`,
    [columns.map(({ typeOid }) => typeOid), columns.map(({ typeModifier }) => typeModifier)],
  );
  return columns.map(({ name }, i) => ({ name, type: rows[i]!.type }));
}

/** What rows of before have in a column that was added. */
export type AddedValue =
  /** As text; null for NULL. */
  | { readonly value: string | null }
  /** Each row may have another one, which only a load can tell. */
  | 'unknown';

export async function addedValue(client: pg.ClientBase, oid: number, number: number): Promise<AddedValue> {
  const { rows } = await client.query<{
    missing: string | null;
    has_missing: boolean;
    is_volatile: boolean | null;
  }>(ADDED, [oid, number]);
  const row = rows[0];
  if (row === undefined) return 'unknown';
  if (row.has_missing) return { value: row.missing };
  return row.is_volatile === true ? 'unknown' : { value: null };
}

/** A default that is the same for every row is kept beside the table; one that is not is written into each row. */
const ADDED = `
SELECT a.atthasmissing AS has_missing, (a.attmissingval::text::text[])[1] AS missing,
       a.attidentity <> '' OR (
         SELECT bool_or(f.provolatile = 'v') FROM pg_attrdef d
         CROSS JOIN LATERAL regexp_matches(d.adbin::text, ':(?:funcid|opfuncid) (\\d+)', 'g') AS used
         JOIN pg_proc f ON f.oid = used[1]::oid WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) AS is_volatile
FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum = $2 AND NOT a.attisdropped`;
