/** Where sequences of tables are, read from one database and set in another: a change stream does not tell of them. */

import type pg from 'pg';
import { quotedTable } from './table-catalogue.ts';

export interface SequenceValue {
  readonly schema: string;
  readonly name: string;
  /** The last number it gave, or the next one where it gave none yet. */
  readonly value: string;
  readonly given: boolean;
}

/** Sequences that are read in one statement. */
const BATCH = 200;

/** Sequences that columns of these tables own or take their defaults from. @param tables oids */
export async function readSequences(
  client: pg.ClientBase,
  tables: readonly number[],
): Promise<SequenceValue[]> {
  const { rows: names } = await client.query<{ schema: string; name: string }>(SEQUENCES, [tables]);
  return readSequenceValues(client, names);
}

/** In the order of the names. */
export async function readSequenceValues(
  client: pg.ClientBase,
  names: readonly { readonly schema: string; readonly name: string }[],
): Promise<SequenceValue[]> {
  const values: SequenceValue[] = [];
  for (let at = 0; at < names.length; at += BATCH) {
    const some = names.slice(at, at + BATCH);
    const { rows } = await client.query<{ place: number; value: string; given: boolean }>(
      some
        .map(
          (sequence, i) =>
            `SELECT ${i} AS place, last_value::text AS value, is_called AS given FROM ${quotedTable(sequence)}`,
        )
        .join(' UNION ALL '),
    );
    for (const { place, value, given } of rows) values.push({ ...some[place]!, value, given });
  }
  return values;
}

/** Sequences that are not in the database are passed over. @returns how many were set */
export async function setSequences(
  client: pg.ClientBase,
  sequences: readonly SequenceValue[],
): Promise<number> {
  const { rowCount } = await client.query(
    `SELECT setval(c.oid, v.value, v.given)
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::boolean[]) AS v (schema, name, value, given)
     JOIN pg_namespace n ON n.nspname = v.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = v.name
     WHERE c.relkind = 'S'`,
    [
      sequences.map(({ schema }) => schema),
      sequences.map(({ name }) => name),
      sequences.map(({ value }) => value),
      sequences.map(({ given }) => given),
    ],
  );
  return rowCount ?? 0;
}

const SEQUENCES = `
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND (
  EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY ($1::oid[]) AND d.deptype IN ('a', 'i'))
  OR EXISTS (SELECT FROM pg_attrdef a JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
    WHERE a.adrelid = ANY ($1::oid[]) AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid))
ORDER BY 1, 2`;
