/** Names what a copy of a schema leaves out. */

import type pg from 'pg';
import type { Node } from './schema-needs.ts';

/** How many names a notice lists. */
const LISTED = 8;

/** @param unmade what tables need and no statement makes */
export async function readSchemaNotices(
  client: pg.ClientBase,
  tables: readonly number[],
  unmade: readonly Node[],
): Promise<string[]> {
  const notices: string[] = [];
  for (const [what, text] of LEFT_OUT) {
    const { rows } = await client.query<{ name: string }>(text, [tables]);
    if (rows.length > 0) notices.push(`not copied: ${what} ${listed(rows.map(({ name }) => name))}`);
  }
  const { rows: needed } = await client.query<{ name: string }>(
    `SELECT pg_describe_object(c::regclass, o, 0) AS name FROM unnest($1::text[], $2::oid[]) AS u (c, o) ORDER BY name`,
    [unmade.map((node) => node.class), unmade.map(({ oid }) => oid)],
  );
  if (needed.length > 0)
    notices.push(
      `needed and not copied, to be made in the target first: ${listed(needed.map(({ name }) => name))}`,
    );
  return notices;
}

function listed(names: readonly string[]): string {
  const more = names.length - LISTED;
  return names.slice(0, LISTED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

const LEFT_OUT: readonly (readonly [string, string])[] = [
  [
    'the triggers',
    `SELECT quote_ident(t.tgname) || ' of ' || t.tgrelid::regclass AS name FROM pg_trigger t
     WHERE t.tgrelid = ANY ($1::oid[]) AND NOT t.tgisinternal AND coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0' ORDER BY 1`,
  ],
  [
    'the rules',
    `SELECT quote_ident(r.rulename) || ' of ' || r.ev_class::regclass AS name FROM pg_rewrite r
     WHERE r.ev_class = ANY ($1::oid[]) AND r.ev_type <> '1' ORDER BY 1`,
  ],
  [
    'the row level security of',
    `SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relrowsecurity ORDER BY 1`,
  ],
  [
    'the views',
    `SELECT DISTINCT r.ev_class::regclass::text AS name FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
     WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY ($1::oid[])
       AND r.ev_class <> ALL ($1::oid[]) ORDER BY 1`,
  ],
  [
    'the inheritance from tables that are not copied, by',
    `SELECT i.inhrelid::regclass || ' from ' || i.inhparent::regclass AS name FROM pg_inherits i
     WHERE i.inhrelid = ANY ($1::oid[]) AND i.inhparent <> ALL ($1::oid[]) ORDER BY 1`,
  ],
  [
    'indexes that were not built to their end:',
    `SELECT i.indexrelid::regclass::text AS name FROM pg_index i WHERE i.indrelid = ANY ($1::oid[]) AND NOT i.indisvalid ORDER BY 1`,
  ],
];
