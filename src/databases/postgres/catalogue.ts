/** Reads from PostgreSQL's catalogue what a rewrite needs to know of a column and its table. */

import { LongshoreError } from '../../errors.ts';
import { closestNames, didYouMean } from '../closest-names.ts';
import type { ColumnFacts, ColumnRef, ReferenceForm } from '../database.ts';
import type { Client } from './connections.ts';
import { rowSecurityHint } from './errors.ts';
import { quoteName, tableOf } from './sql.ts';

const KINDS: Readonly<Record<string, ColumnFacts['kind']>> = {
  r: 'table',
  p: 'partitioned',
  f: 'foreign',
  v: 'view',
};

/** Up to this size a table that was never analysed is counted. */
const COUNTED_BYTES_MAX = 16 * 1024 * 1024;

/**
 * The type under any domains, and the length it is limited to. Written with the type modifier -1, a type cast
 * does not cut: `varchar` and not `varchar(5)`, `bpchar` and not `character`.
 */
const BASE_TYPE = `LATERAL (
  WITH RECURSIVE chain AS (
    SELECT p.oid, p.typname, p.typtype, p.typbasetype, p.typcategory, p.typtypmod,
           a.atttypmod AS modifier
    FROM pg_type p WHERE p.oid = a.atttypid
    UNION ALL
    SELECT p.oid, p.typname, p.typtype, p.typbasetype, p.typcategory, p.typtypmod,
           CASE WHEN c.modifier >= 0 THEN c.modifier ELSE c.typtypmod END
    FROM chain c JOIN pg_type p ON p.oid = c.typbasetype WHERE c.typtype = 'd'
  )
  SELECT format_type(oid, -1) AS name, typname, typcategory,
         CASE WHEN typname IN ('varchar', 'bpchar') AND modifier >= 4 THEN modifier - 4 END AS length_max
  FROM chain WHERE typtype <> 'd'
)`;

const TABLES = `
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS table, c.relkind AS kind,
         has_schema_privilege(n.oid, 'USAGE') AS usable, row_security_active(c.oid) AS hides_rows,
         current_user::text AS role
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
    AND CASE WHEN $2::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END`;

const COLUMN = `
  SELECT a.attnum::int4 AS number, a.attgenerated <> '' AS generated, type.name AS type, type.typname,
         type.typcategory AS category, type.length_max,
         has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS can_select,
         has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS can_update,
         EXISTS (
           SELECT FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
           JOIN pg_opclass oc ON oc.oid = i.indclass[0]
           WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL
             AND am.amname IN ('btree', 'hash') AND i.indcollation[0] = a.attcollation
             AND (oc.opcdefault OR oc.opcname LIKE '%pattern_ops')
         ) AS indexed,
         ARRAY(
           WITH RECURSIVE parts AS (
             SELECT a.attrelid AS oid
             UNION
             SELECT i.inhrelid FROM parts JOIN pg_inherits i ON i.inhparent = parts.oid
           )
           SELECT DISTINCT t.tgname::text FROM parts
           JOIN pg_attribute p ON p.attrelid = parts.oid AND p.attname = a.attname
           JOIN pg_trigger t ON t.tgrelid = parts.oid
           WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 16 <> 0
             AND (cardinality(t.tgattr::int2[]) = 0 OR p.attnum = ANY (t.tgattr::int2[]))
           ORDER BY 1
         ) AS triggers
  FROM pg_attribute a, ${BASE_TYPE} AS type
  WHERE a.attrelid = $1::oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped`;

/** The primary key, else the shortest unique index over columns that are never null. */
const KEY = `
  SELECT a.attname AS name, type.name AS type, has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS can_select
  FROM (
    SELECT i.indrelid, i.indkey::int2[] AS attributes, i.indnkeyatts
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
    WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND am.amname = 'btree' AND (i.indimmediate OR i.indisprimary)
      AND NOT EXISTS (
        SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
        JOIN pg_attribute ka ON ka.attrelid = i.indrelid AND ka.attnum = k.number
        WHERE k.place <= i.indnkeyatts AND NOT ka.attnotnull
      )
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1
  ) AS i
  CROSS JOIN LATERAL unnest(i.attributes) WITH ORDINALITY AS k(number, place)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number, ${BASE_TYPE} AS type
  WHERE k.place <= i.indnkeyatts ORDER BY k.place`;

const SIZE = `
  WITH RECURSIVE parts AS (
    SELECT $1::oid AS oid
    UNION ALL
    SELECT i.inhrelid FROM parts JOIN pg_inherits i ON i.inhparent = parts.oid
  )
  SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::float8 AS rows,
         coalesce(sum(CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) END), 0)::float8 AS bytes
  FROM parts JOIN pg_class c ON c.oid = parts.oid`;

interface TableRow {
  readonly oid: string;
  readonly schema: string;
  readonly table: string;
  readonly kind: string;
  readonly usable: boolean;
  readonly hides_rows: boolean;
  readonly role: string;
}

interface ColumnRow {
  readonly number: number;
  readonly generated: boolean;
  readonly type: string;
  readonly typname: string;
  readonly category: string;
  readonly length_max: number | null;
  readonly can_select: boolean;
  readonly can_update: boolean;
  readonly indexed: boolean;
  readonly triggers: string[];
}

interface KeyRow {
  readonly name: string;
  readonly type: string;
  readonly can_select: boolean;
}

/**
 * @throws TABLE_NOT_FOUND, COLUMN_NOT_FOUND, which name what comes close; DATABASE_DENIED where row-level security
 *   hides rows
 */
export async function describeColumn(client: Client, ref: ColumnRef, database: string): Promise<ColumnFacts> {
  const tables = await client.query<TableRow>(TABLES, [ref.table, ref.schema ?? null]);
  const table = tables.rows[0];
  if (table === undefined) throw await tableNotFound(client, ref, database);
  const columns = await client.query<ColumnRow>(COLUMN, [table.oid, ref.column]);
  const column = columns.rows[0];
  if (column === undefined) throw await columnNotFound(client, table, ref);
  if (table.hides_rows) throw rowsHidden(table, database);
  const keys = (await client.query<KeyRow>(KEY, [table.oid])).rows;
  const facts: Omit<ColumnFacts, 'rowsEstimate'> = {
    ref: { schema: table.schema, table: table.table, column: ref.column, within: ref.within },
    name: `${table.schema}.${table.table}.${ref.column}`,
    kind: KINDS[table.kind] ?? 'other',
    dataType: column.type,
    within: ref.within === 'auto' ? formOf(column) : ref.within,
    primaryKey: keys.map(({ name, type }) => ({ name, type })),
    // Other types have values that a reference cannot be cast to, which would fail the statement.
    indexed: column.indexed && column.category === 'S',
    generated: column.generated,
    updateTriggers: column.triggers,
    ...(column.length_max === null ? {} : { lengthMax: column.length_max }),
    canSelect: table.usable && column.can_select && keys.every((key) => key.can_select),
    canUpdate: table.usable && column.can_update,
  };
  return { ...facts, rowsEstimate: await estimateRows(client, table.oid, facts) };
}

function formOf(column: ColumnRow): ReferenceForm {
  if (column.typname === 'json' || column.typname === 'jsonb') return 'json';
  return column.category === 'A' ? 'array' : 'value';
}

async function estimateRows(
  client: Client,
  oid: string,
  facts: Omit<ColumnFacts, 'rowsEstimate'>,
): Promise<number> {
  const size = (await client.query<{ rows: number; bytes: number }>(SIZE, [oid])).rows[0]!;
  if (size.rows > 0 || size.bytes === 0) return Math.round(size.rows);
  if (size.bytes > COUNTED_BYTES_MAX || !facts.canSelect) return Math.round(size.bytes / 150);
  const name = quoteName(facts.ref.column);
  const text = `SELECT count(*)::float8 AS rows FROM (SELECT t.${name} FROM ${tableOf({ ...facts, rowsEstimate: 0 })} AS t) AS c`;
  return (await client.query<{ rows: number }>(text)).rows[0]!.rows;
}

async function tableNotFound(client: Client, ref: ColumnRef, database: string): Promise<LongshoreError> {
  const all = await client.query<{ schema: string; table: string }>(
    `SELECT n.nspname AS schema, c.relname AS table FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT c.relispartition
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ORDER BY c.oid DESC LIMIT 20000`,
  );
  const wanted = ref.schema === undefined ? ref.table : `${ref.schema}.${ref.table}`;
  const close = closestNames(
    ref.table,
    all.rows.map((row) => row.table),
  );
  const full = all.rows
    .filter((row) => close.includes(row.table))
    .sort((left, right) => close.indexOf(left.table) - close.indexOf(right.table))
    .map((row) => `${plainOrQuoted(row.schema)}.${plainOrQuoted(row.table)}`);
  return new LongshoreError('TABLE_NOT_FOUND', `Cannot find the table "${wanted}" in ${database}`, {
    hint: didYouMean(full.slice(0, 3)) ?? 'check the database, the schema and the quotes around capitals',
    context: { table: wanted },
  });
}

async function columnNotFound(client: Client, table: TableRow, ref: ColumnRef): Promise<LongshoreError> {
  const all = await client.query<{ name: string }>(
    'SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum',
    [table.oid],
  );
  const names = all.rows.map((row) => row.name);
  const name = `${table.schema}.${table.table}`;
  return new LongshoreError('COLUMN_NOT_FOUND', `Cannot find the column "${ref.column}" in ${name}`, {
    hint: didYouMean(closestNames(ref.column, names)) ?? `its columns are ${names.slice(0, 20).join(', ')}`,
    context: { table: name, column: ref.column },
  });
}

function rowsHidden(table: TableRow, database: string): LongshoreError {
  const name = `${table.schema}.${table.table}`;
  return new LongshoreError(
    'DATABASE_DENIED',
    `Cannot read every row of ${name}: row-level security hides rows from the role "${table.role}"`,
    { hint: rowSecurityHint(table.role), context: { database, table: name } },
  );
}

function plainOrQuoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteName(name);
}
