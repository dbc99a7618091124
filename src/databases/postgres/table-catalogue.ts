/** The tables of a database as replication needs them: columns with their types, keys, replica identities, partitions. */

import type pg from 'pg';
import type { SourceColumn } from './field-mapping.ts';
import type { ReplicaIdentity } from './pgoutput.ts';
import { quoteName } from './sql.ts';

export interface SourceTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
  /** Tables that hold the rows: the table itself, or the leaves of its partitions. */
  readonly leaves: readonly SourceLeaf[];
  /** In order, without dropped and without generated ones. */
  readonly columns: readonly CatalogueColumn[];
  /** Names, in the order of the key; none where there is no primary key. */
  readonly primaryKey: readonly string[];
  readonly replicaIdentity: ReplicaIdentity;
  /** Columns of the replica identity's index, where it is one. */
  readonly identityColumns: readonly string[];
  /** Whether the role may read it. */
  readonly canSelect: boolean;
  /** Whether the role owns it, or is a member of the role that does. */
  readonly isOwner: boolean;
  /** From statistics. */
  readonly rowsEstimate: number;
}

export interface SourceLeaf {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Of the heap, without TOAST; 0 where it was not asked for. */
  readonly bytes: number;
  /** Changes when the table is rewritten or truncated. */
  readonly fileNode: number;
}

export interface CatalogueColumn extends SourceColumn {
  /** Stays with a column through a rename. */
  readonly number: number;
  readonly notNull: boolean;
  /** Whether large values may be stored apart, which an update that leaves them alone does not send. */
  readonly toastable: boolean;
  /** STORED generated columns are not sent in changes before PostgreSQL 18. */
  readonly generated: boolean;
}

/**
 * Ordinary and partitioned tables outside of the system's schemas; partitions belong to their root.
 * @param sized the tables whose size is asked for: the server waits for whoever holds one of them alone
 */
export async function readTables(
  client: pg.ClientBase,
  sized: (table: Pick<SourceTable, 'oid' | 'schema' | 'name'>) => boolean = () => false,
): Promise<SourceTable[]> {
  const tables = await client.query<{
    oid: number;
    schema: string;
    name: string;
    kind: string;
    identity: ReplicaIdentity;
    can_select: boolean;
    is_owner: boolean;
    key: string[] | null;
    identity_columns: string[] | null;
  }>(TABLES);
  const columns = await client.query<ColumnRow>(COLUMNS);
  const leaves = await client.query<{
    root: number;
    oid: number;
    schema: string;
    name: string;
    bytes: string;
    rows: number;
    file_node: number;
  }>(LEAVES, [tables.rows.filter(sized).map(({ oid }) => oid)]);
  const columnsOf = Map.groupBy(columns.rows, ({ oid }) => oid);
  const leavesOf = Map.groupBy(leaves.rows, ({ root }) => root);
  return tables.rows.map((row) => ({
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    partitioned: row.kind === 'p',
    leaves: (leavesOf.get(row.oid) ?? []).map((leaf) => ({
      oid: leaf.oid,
      schema: leaf.schema,
      name: leaf.name,
      bytes: Number(leaf.bytes),
      fileNode: leaf.file_node,
    })),
    columns: (columnsOf.get(row.oid) ?? []).map(columnOf),
    primaryKey: row.key ?? [],
    replicaIdentity: row.identity,
    identityColumns: row.identity_columns ?? [],
    canSelect: row.can_select,
    isOwner: row.is_owner,
    rowsEstimate: (leavesOf.get(row.oid) ?? []).reduce((sum, { rows }) => sum + rows, 0),
  }));
}

/** The names of what {@link readTables} reads, for a look from time to time. */
export async function listTables(
  client: pg.ClientBase,
): Promise<{ readonly oid: number; readonly schema: string; readonly name: string }[]> {
  const { rows } = await client.query<{ oid: number; schema: string; name: string }>(
    `SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name ${FROM_TABLES}`,
  );
  return rows;
}

/** Of tables that are partitions now: the oids of their roots, by their own. */
export async function partitionRoots(
  client: pg.ClientBase,
  oids: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  const { rows } = await client.query<{ oid: number; root: number }>(
    `SELECT c.oid::int8::float8 AS oid, pg_partition_root(c.oid)::oid::int8::float8 AS root
     FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relispartition`,
    [oids],
  );
  return new Map(rows.map(({ oid, root }) => [oid, root]));
}

interface ColumnRow {
  oid: number;
  number: number;
  name: string;
  not_null: boolean;
  generated: boolean;
  toastable: boolean;
  type_oid: number;
  modifier: number;
  type_name: string;
  type_kind: string;
}

function columnOf(row: ColumnRow): CatalogueColumn {
  return {
    number: row.number,
    name: row.name,
    typeOid: row.type_oid,
    typeModifier: row.modifier,
    typeName: row.type_name,
    typeKind: row.type_kind,
    notNull: row.not_null,
    toastable: row.toastable,
    generated: row.generated,
  };
}

/** `"schema"."table"` */
export function quotedTable({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${quoteName(schema)}.${quoteName(name)}`;
}

const FROM_TABLES = `
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`;

const TABLES = `
SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
       c.relreplident AS identity, has_table_privilege(c.oid, 'SELECT') AS can_select,
       pg_has_role(c.relowner, 'USAGE') AS is_owner,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts) AS key,
       (SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisreplident AND k.place <= i.indnkeyatts) AS identity_columns
${FROM_TABLES}
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

/** Joins `b`, the type under a domain `t`, however deep; none where `t` is no domain. */
export const BASE_TYPE = `
LEFT JOIN LATERAL (
  WITH RECURSIVE base AS (
    SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod AS modifier
    UNION ALL SELECT u.oid, u.typtype, u.typbasetype, CASE WHEN u.typtype = 'd' THEN u.typtypmod ELSE base.modifier END
    FROM base JOIN pg_type u ON u.oid = base.typbasetype
    WHERE base.typtype = 'd')
  SELECT base.oid, base.typtype, base.modifier FROM base WHERE base.typtype <> 'd') b ON t.typtype = 'd'`;

const COLUMNS = `
SELECT c.oid::int8::float8 AS oid, a.attnum AS number, a.attname AS name, a.attnotnull AS not_null,
       a.attgenerated <> '' AS generated, a.attstorage <> 'p' AS toastable,
       coalesce(nullif(b.oid, 0), t.oid)::int8::float8 AS type_oid,
       CASE WHEN t.typtype = 'd' THEN b.modifier ELSE a.atttypmod END AS modifier,
       format_type(a.atttypid, a.atttypmod) AS type_name,
       coalesce(b.typtype, t.typtype) AS type_kind
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
${BASE_TYPE}
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
ORDER BY c.oid, a.attnum`;

/** Without `pg_partition_tree`, which locks what it finds. */
const LEAVES = `
WITH RECURSIVE part AS (
  SELECT r.oid AS root, r.oid FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
  WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition AND r.relpersistence = 'p'
    AND rn.nspname NOT IN ('pg_catalog', 'information_schema') AND rn.nspname !~ '^pg_toast'
  UNION ALL
  SELECT part.root, i.inhrelid FROM part JOIN pg_inherits i ON i.inhparent = part.oid
  JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition)
SELECT part.root::int8::float8 AS root, c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name,
       CASE WHEN part.root = ANY ($1::oid[]) THEN pg_relation_size(c.oid) ELSE 0 END::text AS bytes,
       greatest(c.reltuples, 0)::float8 AS rows, pg_relation_filenode(c.oid)::int8::float8 AS file_node
FROM part JOIN pg_class c ON c.oid = part.oid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY part.root, n.nspname COLLATE "C", c.relname COLLATE "C"`;
