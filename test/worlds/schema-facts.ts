/** What PostgreSQL says of everything in a database's schemas, by its own functions, to be compared with another one's. */

import pg from 'pg';

export type SchemaFacts = Readonly<Record<string, readonly string[]>>;

/** @param left names of objects that are left out, as the facts begin */
export async function schemaFacts(url: string, left: readonly string[] = []): Promise<SchemaFacts> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(`SET search_path = ''`);
    const facts: Record<string, string[]> = {};
    for (const [name, text] of Object.entries(QUERIES)) {
      const { rows } = await client.query<{ fact: string }>(
        `SELECT fact FROM (${text}) f (fact) ORDER BY fact COLLATE "C"`,
      );
      facts[name] = rows
        .map(({ fact }) => fact)
        .filter((fact) => !left.some((start) => fact.startsWith(start)));
    }
    return facts;
  } finally {
    await client.end();
  }
}

const OWN = (schema: string): string =>
  `${schema} NOT IN ('pg_catalog', 'information_schema', 'longshore') AND ${schema} !~ '^pg_toast'`;
const NOT_OF_EXTENSIONS = (catalogue: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '${catalogue}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

const QUERIES = {
  relations: `
    SELECT concat_ws(' ', c.oid::regclass, c.relkind, pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), c.reloptions::text,
      (SELECT x.reloptions::text FROM pg_class x WHERE x.oid = c.reltoastrelid), c.relreplident,
      (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid),
      obj_description(c.oid, 'pg_class'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S') AND ${OWN('n.nspname')} AND ${NOT_OF_EXTENSIONS('pg_class', 'c.oid')}`,
  columns: `
    SELECT concat_ws(' ', c.oid::regclass, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
      a.attgenerated, a.attcollation::regcollation, a.attstorage, a.attislocal, a.attinhcount, pg_get_expr(d.adbin, d.adrelid),
      col_description(c.oid, a.attnum))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND ${OWN('n.nspname')}`,
  order_of_columns: `
    SELECT c.oid::regclass || ' ' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND ${OWN('n.nspname')}
      AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND NOT c.relispartition) GROUP BY c.oid`,
  constraints: `
    SELECT concat_ws(' ', coalesce(nullif(k.conrelid, 0)::regclass::text, k.contypid::regtype::text), quote_ident(k.conname),
      pg_get_constraintdef(k.oid), k.convalidated, k.conislocal, k.coninhcount, CASE WHEN k.contype = 'c' THEN k.connoinherit END)
    FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE ${OWN('n.nspname')} AND k.contype <> 't'`,
  indexes: `
    SELECT concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisprimary, i.indisunique, i.indisreplident, i.indisclustered,
      (SELECT h.inhparent::regclass FROM pg_inherits h WHERE h.inhrelid = i.indexrelid))
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OWN('n.nspname')}`,
  sequences: `
    SELECT concat_ws(' ', s.seqrelid::regclass, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
      s.seqcycle, (SELECT d.deptype::text || ' ' || d.refobjid::regclass || ' ' || a.attname FROM pg_depend d
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
    FROM pg_sequence s`,
  types: `
    SELECT concat_ws(' ', t.oid::regtype, t.typtype, format_type(nullif(t.typbasetype, 0), t.typtypmod), t.typnotnull, t.typdefault,
      (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
      (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) || a.attcollation::regcollation, ',' ORDER BY a.attnum)
       FROM pg_attribute a WHERE a.attrelid = t.typrelid),
      (SELECT concat_ws(' ', r.rngsubtype::regtype, r.rngsubdiff) FROM pg_range r WHERE r.rngtypid = t.oid))
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE ${OWN('n.nspname')} AND t.typtype IN ('e', 'd', 'c', 'r', 'm') AND coalesce(c.relkind, 'c') = 'c'
      AND ${NOT_OF_EXTENSIONS('pg_type', 't.oid')}`,
  functions: `
    SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE ${OWN('n.nspname')} AND p.prokind = 'f' AND ${NOT_OF_EXTENSIONS('pg_proc', 'p.oid')}
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')`,
  statistics: `
    SELECT pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s`,
  extensions: `SELECT e.extname || ' ' || n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace`,
} as const;
