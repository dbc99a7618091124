/** A table of the target as changes need it: how values become parameters, and how rows are found. */

import type pg from 'pg';
import type { Relation } from '../../../databases/postgres/pgoutput.ts';
import { quoteName } from '../../../databases/postgres/sql.ts';
import { quotedTable } from '../../../databases/postgres/table-catalogue.ts';
import { LongshoreError } from '../../../errors.ts';

export interface TargetTable {
  readonly schema: string;
  readonly name: string;
  /** `"schema"."table"`, with ONLY where tables may inherit from it. */
  readonly text: string;
  /** Without ONLY. */
  readonly plainText: string;
  /** In the order of the relation's. */
  readonly columns: readonly TargetColumn[];
  /** Places of the columns by which a row is found; none where only the whole row says which it is. */
  readonly key: readonly number[];
}

export interface TargetColumn {
  readonly name: string;
  /** Of values, without length. */
  readonly type: string;
  /** Whether arrays of the type cannot stand for a column of values: these come as texts and are cast. */
  readonly asText: boolean;
  /** Whether equal values are the same, and equality can be asked of an index. */
  readonly exact: boolean;
  /** Of a domain, the type under it: only that one has operators. */
  readonly base: string | null;
  /** The operator that says whether two values are the same key. */
  readonly equals: string;
  /** Whether only the server may give it a value, unless it is overridden. */
  readonly always: boolean;
}

/**
 * @param relation as the change stream describes it
 * @throws CHECK_FAILED where the target has not what changes need
 */
export async function readTargetTable(client: pg.ClientBase, relation: Relation): Promise<TargetTable> {
  const { schema, table: name } = relation;
  const plainText = quotedTable({ schema, name });
  const { rows } = await client.query<{
    partitioned: boolean;
    key: string[] | null;
    columns: (TargetColumn & { readonly generated: boolean })[] | null;
  }>(TABLE, [plainText]);
  const found = rows[0];
  if (found === undefined) throw gone(`${schema}.${name} is not in the target any more`);
  const byName = new Map((found.columns ?? []).map((column) => [column.name, column]));
  const columns = relation.columns.map((column) => {
    const target = byName.get(column.name);
    if (target === undefined || target.generated)
      throw gone(`${schema}.${name} has no column ${column.name} in the target`);
    return target;
  });
  const places = (names: readonly string[]): number[] =>
    names.map((key) => relation.columns.findIndex((column) => column.name === key));
  const key =
    relation.replicaIdentity === 'f'
      ? places(found.key ?? [])
      : relation.columns.flatMap((column, i) => (column.key ? [i] : []));
  return {
    schema,
    name,
    plainText,
    text: found.partitioned ? plainText : `ONLY ${plainText}`,
    columns,
    // With the whole old row at hand a key that changes do not hold is of no use.
    key: key.includes(-1) ? [] : key,
  };
}

function gone(what: string): LongshoreError {
  return new LongshoreError('CHECK_FAILED', what, {
    hint: `somebody else changed the target; --resync loads tables again`,
    context: { changed: true },
  });
}

/** `a.b = v.k0`: the place of a value among the arrays. */
export function valueText({ type, asText }: TargetColumn, name: string): string {
  return asText ? `v.${name}::${type}` : `v.${name}`;
}

export function arrayText({ type, asText }: TargetColumn, parameter: number): string {
  return `$${parameter}::${asText ? 'text' : type}[]`;
}

export function columnText({ name }: TargetColumn): string {
  return quoteName(name);
}

/** bool, bytea, name, int8, int2, int4, text, oid, date, time, timestamp, timestamptz, bpchar, varchar, uuid */
const EXACT = [16, 17, 19, 20, 21, 23, 25, 26, 1082, 1083, 1114, 1184, 1042, 1043, 2950];

/**
 * Arrays whose elements are arrays or composites come apart when they are unnested; some types have other delimiters, or
 * no arrays. A key that may be broken until the transaction ends says nothing of a row.
 */
const TABLE = `
SELECT c.relkind = 'p' AS partitioned,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND k.place <= i.indnkeyatts) AS key,
       (SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(t.oid, -1),
          'asText', t.typarray = 0 OR t.typdelim <> ',' OR b.typcategory = 'A' OR b.typtype = 'c',
          'base', CASE WHEN t.typtype = 'd' THEN format_type(b.oid, -1) END,
          'exact', (b.oid = ANY ('{${EXACT.join(',')}}') OR b.typtype = 'e')
                   AND coalesce((SELECT l.collisdeterministic FROM pg_collation l WHERE l.oid = a.attcollation), true),
          'equals', coalesce((
             SELECT 'OPERATOR(' || quote_ident(s.nspname) || '.' || o.oprname || ')' FROM pg_opclass oc
             JOIN pg_am m ON m.oid = oc.opcmethod AND m.amname = 'btree'
             JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amoplefttype = oc.opcintype
               AND ao.amoprighttype = oc.opcintype AND ao.amopstrategy = 3
             JOIN pg_operator o ON o.oid = ao.amopopr JOIN pg_namespace s ON s.oid = o.oprnamespace
             WHERE oc.opcdefault AND oc.opcintype = b.oid AND b.oid >= 16384), '='),
          'always', a.attidentity = 'a', 'generated', a.attgenerated <> ''))
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        JOIN LATERAL (
          WITH RECURSIVE base AS (
            SELECT t.oid, t.typtype, t.typbasetype, t.typcategory
            UNION ALL SELECT u.oid, u.typtype, u.typbasetype, u.typcategory FROM base JOIN pg_type u ON u.oid = base.typbasetype
            WHERE base.typtype = 'd')
          SELECT * FROM base WHERE typtype <> 'd') b ON true
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class c WHERE c.oid = to_regclass($1)`;
