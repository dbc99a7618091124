/** Reads what masking has to know of a PostgreSQL database. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import type { CatalogueColumn, CatalogueTable, ForeignKey, MaskCatalogue } from '../masking/catalogue.ts';
import { type Client, PostgresConnections } from './connections.ts';

/** Tables of users; views, foreign tables, and tables of extensions are none that rows are masked in. */
export async function readMaskCatalogue(client: Client): Promise<MaskCatalogue> {
  const tables = await client.query<TableRow>(TABLES);
  const columns = await client.query<CatalogueColumn & { id: string }>(COLUMNS);
  const foreignKeys = await client.query<ForeignKey>(FOREIGN_KEYS);
  const columnsOf = Map.groupBy(columns.rows, ({ id }) => id);
  return {
    tables: tables.rows.map((row) => tableOf(row, columnsOf.get(row.id) ?? [])),
    foreignKeys: foreignKeys.rows,
  };
}

/** With a connection of its own, and without any change. @throws the errors of connections */
export async function maskCatalogue(url: DatabaseUrl, signal: AbortSignal): Promise<MaskCatalogue> {
  await using connections = new PostgresConnections(url.connection, 1);
  const doing = { action: `read the tables of ${url.name}`, database: url.name, user: url.connection.user };
  return await connections.use(doing, signal, readMaskCatalogue);
}

interface TableRow {
  readonly schema: string;
  readonly name: string;
  readonly id: string;
  readonly root: string;
  readonly stored: readonly string[];
  readonly is_partition: boolean;
  readonly is_partitioned: boolean;
  readonly primary_key: readonly string[];
  readonly updated_by_rule: boolean;
  readonly deleted_by_rule: boolean;
}

function tableOf(row: TableRow, columns: readonly (CatalogueColumn & { id: string })[]): CatalogueTable {
  return {
    schema: row.schema,
    name: row.name,
    id: row.id,
    root: row.root,
    stored: row.stored,
    isPartition: row.is_partition,
    isPartitioned: row.is_partitioned,
    columns: columns.map(({ id: _, ...column }) => ({ ...column, lengthMax: column.lengthMax ?? undefined })),
    primaryKey: row.primary_key,
    notUpdated: row.updated_by_rule ? 'a rewrite rule stands in for its updates' : undefined,
    notDeleted: row.deleted_by_rule ? 'a rewrite rule stands in for its deletions' : undefined,
  };
}

const OWN = `n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p')
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')`;
const NAME = (oid: string) =>
  `(SELECT format('%I.%I', xn.nspname, x.relname) FROM pg_class x JOIN pg_namespace xn ON xn.oid = x.relnamespace WHERE x.oid = ${oid})`;
const RULE = (event: number) =>
  `EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type = '${event}' AND w.is_instead AND w.ev_enabled <> 'D')`;

/** From every table to itself and to all that it inherits from. */
const ANCESTORS = `
  WITH RECURSIVE above (oid, ancestor) AS (
    SELECT oid, oid FROM pg_class WHERE relkind IN ('r', 'p', 'f')
    UNION SELECT a.oid, i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.ancestor
  )`;

/** A table of several roots is seen through the first of them. */
const TABLES = `${ANCESTORS}
  SELECT n.nspname AS schema, c.relname AS name, ${NAME('c.oid')} AS id,
    (SELECT min(${NAME('a.ancestor')}) FROM above a
     WHERE a.oid = c.oid AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = a.ancestor)) AS root,
    ARRAY(SELECT ${NAME('a.oid')} FROM above a JOIN pg_class s ON s.oid = a.oid
          WHERE a.ancestor = c.oid AND s.relkind = 'r' ORDER BY 1) AS stored,
    c.relispartition AS is_partition, c.relkind = 'p' AS is_partitioned, ${RULE(2)} AS updated_by_rule, ${RULE(4)} AS deleted_by_rule,
    ARRAY(SELECT t.attname::text FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
          JOIN pg_attribute t ON t.attrelid = c.oid AND t.attnum = k.number
          WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place) AS primary_key
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OWN} ORDER BY 1, 2`;

/**
 * Indexes of what inherits count for its ancestors. What an index has columns for is in its key, or, of an expression, in its
 * dependencies.
 */
const COLUMNS = `${ANCESTORS}, telling (oid, name) AS (
    SELECT a.ancestor, t.attname FROM pg_index i JOIN above a ON a.oid = i.indrelid
      JOIN pg_attribute t ON t.attrelid = i.indrelid AND t.attnum > 0
    WHERE (i.indisunique OR i.indisexclusion) AND (t.attnum = ANY (i.indkey::int2[]) OR EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = t.attnum))
  )
  SELECT ${NAME('c.oid')} AS id, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
    CASE WHEN b.typcategory = 'S' THEN 'text' WHEN b.typname = 'uuid' THEN 'uuid' ELSE 'other' END AS holds,
    CASE WHEN b.typname = 'name' THEN 63 ELSE information_schema._pg_char_max_length(
      information_schema._pg_truetypid(a, y), information_schema._pg_truetypmod(a, y)) END AS "lengthMax",
    a.attnotnull OR y.typnotnull AS "notNull", a.attgenerated <> '' AS generated, a.attidentity = 'a' AS identity,
    EXISTS (SELECT FROM telling u WHERE u.oid = c.oid AND u.name = a.attname) AS unique,
    coalesce(a.attnum = ANY (p.partattrs::int2[]), false) OR coalesce(position(a.attname IN pg_get_expr(p.partexprs, c.oid)) > 0, false) AS partitions,
    b.typname = 'citext' OR coalesce(NOT o.collisdeterministic, false) AS caseless, false AS "changesByItself"
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type y ON y.oid = a.atttypid
    JOIN pg_type b ON b.oid = CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END
    LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid LEFT JOIN pg_collation o ON o.oid = a.attcollation
  WHERE a.attnum > 0 AND NOT a.attisdropped AND ${OWN} ORDER BY c.oid, a.attnum`;

const KEY_COLUMNS = (table: string, key: string) =>
  `ARRAY(SELECT t.attname::text FROM unnest(${key}) WITH ORDINALITY k (number, place)
    JOIN pg_attribute t ON t.attrelid = ${table} AND t.attnum = k.number ORDER BY k.place)`;

/** Those of partitions come from their table's. */
const FOREIGN_KEYS = `
  SELECT f.conname::text AS name, ${NAME('f.conrelid')} AS child, ${KEY_COLUMNS('f.conrelid', 'f.conkey')} AS "childColumns",
    ${NAME('f.confrelid')} AS parent, ${KEY_COLUMNS('f.confrelid', 'f.confkey')} AS "parentColumns",
    pg_get_constraintdef(f.oid) AS definition
  FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE f.contype = 'f' AND f.conparentid = 0 AND f.convalidated AND ${OWN} ORDER BY f.oid`;
