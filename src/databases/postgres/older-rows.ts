/** What a column is in rows that are older than it: of an added column, which the server does not tell in changes. */

import type pg from 'pg';

/** `unknown`: every row may have another value. */
export type OlderRows =
  | { readonly kind: 'null' }
  | { readonly kind: 'value'; readonly text: string }
  | { readonly kind: 'unknown' };

/**
 * By `attnum`, the columns that the table has now. A constant default is kept with the column, whatever its default
 * became since; any other one wrote the rows.
 */
export async function olderRows(client: pg.ClientBase, oid: number): Promise<Map<number, OlderRows>> {
  const { rows } = await client.query<{ number: number; filled: boolean; value: string; written: boolean }>(
    `SELECT attnum AS number, atthasmissing AS filled, (attmissingval::text::text[])[1] AS value,
            atthasdef OR attidentity <> '' AS written
     FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped`,
    [oid],
  );
  return new Map(
    rows.map(({ number, filled, value, written }): [number, OlderRows] => {
      if (filled) return [number, { kind: 'value', text: value }];
      return [number, { kind: written ? 'unknown' : 'null' }];
    }),
  );
}
