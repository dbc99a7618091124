/** Labels that enums of the source got since they were copied: a change stream does not tell of them. */

import type pg from 'pg';
import { quoteText } from '../../../databases/postgres/schema-object.ts';
import { quotedTable } from '../../../databases/postgres/table-catalogue.ts';

interface Enum {
  readonly schema: string;
  readonly name: string;
  readonly labels: readonly string[];
}

/**
 * Adds what is missing, each at its place.
 * @param target in no transaction: new labels can be used when they are committed
 * @returns how many there were
 */
export async function addEnumLabels(source: pg.ClientBase, target: pg.ClientBase): Promise<number> {
  const now = await readEnums(source);
  const before = new Map((await readEnums(target)).map((one) => [quotedTable(one), one]));
  let added = 0;
  for (const one of now) {
    const name = quotedTable(one);
    const known = before.get(name);
    if (known === undefined) continue;
    for (const [i, label] of one.labels.entries()) {
      if (known.labels.includes(label)) continue;
      const next = one.labels.slice(i + 1).find((other) => known.labels.includes(other));
      const place = next === undefined ? '' : ` BEFORE ${quoteText(next)}`;
      await target.query(`ALTER TYPE ${name} ADD VALUE IF NOT EXISTS ${quoteText(label)}${place}`);
      added++;
    }
  }
  return added;
}

async function readEnums(client: pg.ClientBase): Promise<Enum[]> {
  const { rows } = await client.query<Enum>(
    `SELECT n.nspname AS schema, t.typname AS name, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
     FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_enum e ON e.enumtypid = t.oid
     GROUP BY n.nspname, t.typname`,
  );
  return rows;
}
