/** Definitions of tables, with their columns, partitions and inheritance, and of sequences, as SQL that makes them elsewhere. */

import type pg from 'pg';
import { quoteText, type SchemaObject } from './schema-object.ts';
import { collationText } from './schema-types.ts';
import { quoteName } from './sql.ts';
import { quotedTable } from './table-catalogue.ts';

export interface TableRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `PARTITION BY …` without its first words; null for what has no partitions. */
  readonly partition_key: string | null;
  /** `FOR VALUES …`, of a partition. */
  readonly partition_bound: string | null;
  readonly parents: readonly { readonly oid: number; readonly schema: string; readonly name: string }[];
  readonly options: readonly string[] | null;
  /** Where it is not the usual one. */
  readonly access_method: string | null;
  readonly columns: readonly ColumnRow[];
}

export interface ColumnRow {
  readonly number: number;
  readonly name: string;
  readonly type: string;
  readonly collation: string | null;
  readonly not_null: boolean;
  /** Where it is not the one that the server would give. */
  readonly not_null_name: string | null;
  /** `a` always, `d` by default, '' for none. */
  readonly identity: string;
  /** `s` stored, `v` virtual, '' for none. */
  readonly generated: string;
  readonly default_oid: number | null;
  readonly default_value: string | null;
  /** Declared here; false where it comes from a parent alone. */
  readonly local: boolean;
  /** Where it is not that of the type. */
  readonly storage: string | null;
  readonly compression: string | null;
}

export interface SequenceRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly type: string;
  readonly start: string;
  readonly increment: string;
  readonly min: string;
  readonly max: string;
  readonly cache: string;
  readonly cycle: boolean;
  /** The column that owns it. */
  readonly owner_oid: number | null;
  readonly owner_column: number | null;
  /** Made with the column that it numbers. */
  readonly identity: boolean;
}

export interface TableContext {
  /** All tables that are made, by their oids. */
  readonly chosen: ReadonlyMap<number, TableRow>;
  /** By the oid of the table and the number of the column. */
  readonly identitySequences: ReadonlyMap<string, SequenceRow>;
  readonly lateDefaults: ReadonlySet<number>;
}

/** The table, and what can only be said of it once it is there. */
export function tableObjects(table: TableRow, context: TableContext): SchemaObject[] {
  const name = quotedTable(table);
  const partition = table.partition_bound !== null;
  const parents = partition ? [] : table.parents.filter(({ oid }) => context.chosen.has(oid));
  const listed = table.columns.filter(({ local }) => local || parents.length === 0);
  const inheritedBy = ({ name: own }: ColumnRow): ColumnRow[] =>
    parents.flatMap(
      ({ oid }) => context.chosen.get(oid)!.columns.find((column) => column.name === own) ?? [],
    );
  const isNotNullAbove = (column: ColumnRow): boolean => inheritedBy(column).some((other) => other.not_null);
  const columns = listed.map((column) =>
    columnText(table, { ...column, not_null: column.not_null && !isNotNullAbove(column) }, context),
  );
  const details: SchemaObject[] = [];
  const detail = (create: string): void => void details.push({ kind: 'detail', name, create });
  for (const column of table.columns) {
    const alter = `ALTER TABLE ONLY ${name} ALTER COLUMN ${quoteName(column.name)}`;
    if (!listed.includes(column)) {
      const { default_value: value } = column;
      if (column.generated === '' && inheritedBy(column).some((other) => other.default_value !== value))
        detail(`${alter} ${value === null ? 'DROP DEFAULT' : `SET DEFAULT ${value}`}`);
      if (column.not_null && !isNotNullAbove(column)) detail(`${alter} SET NOT NULL`);
    }
    if (column.storage !== null) detail(`${alter} SET STORAGE ${column.storage}`);
  }
  if (partition) {
    const [parent] = table.parents;
    detail(`ALTER TABLE ONLY ${quotedTable(parent!)} ATTACH PARTITION ${name} ${table.partition_bound}`);
  }
  const clauses = [
    parents.length === 0 ? '' : ` INHERITS (${parents.map(quotedTable).join(', ')})`,
    table.partition_key === null ? '' : ` PARTITION BY ${table.partition_key}`,
    table.access_method === null ? '' : ` USING ${quoteName(table.access_method)}`,
    table.options === null ? '' : ` WITH (${table.options.map(optionText).join(', ')})`,
  ];
  const create = `CREATE TABLE ${name} (${columns.join(', ')})${clauses.join('')}`;
  return [{ kind: 'table', name, create, drop: `DROP TABLE IF EXISTS ${name}` }, ...details];
}

/** `ALTER TABLE … SET DEFAULT` for those that could not be said with the table. */
export function lateDefaultObjects(table: TableRow, { lateDefaults }: TableContext): SchemaObject[] {
  const name = quotedTable(table);
  return table.columns
    .filter(({ default_oid: oid, generated }) => oid !== null && lateDefaults.has(oid) && generated === '')
    .map((column) => ({
      kind: 'detail',
      name,
      create: `ALTER TABLE ONLY ${name} ALTER COLUMN ${quoteName(column.name)} SET DEFAULT ${column.default_value}`,
    }));
}

function columnText(table: TableRow, column: ColumnRow, context: TableContext): string {
  const parts = [`${quoteName(column.name)} ${column.type}`];
  if (column.compression !== null) parts.push(`COMPRESSION ${column.compression}`);
  if (column.collation !== null) parts.push(`COLLATE ${column.collation}`);
  const late = column.default_oid !== null && context.lateDefaults.has(column.default_oid);
  if (column.generated !== '')
    parts.push(
      `GENERATED ALWAYS AS (${column.default_value}) ${column.generated === 'v' ? 'VIRTUAL' : 'STORED'}`,
    );
  else if (column.default_value !== null && !late) parts.push(`DEFAULT ${column.default_value}`);
  // A partition gets its numbers from the table it is attached to.
  if (column.identity !== '' && table.partition_bound === null) {
    const sequence = context.identitySequences.get(`${table.oid} ${column.number}`);
    const options =
      sequence === undefined ? '' : ` (SEQUENCE NAME ${quotedTable(sequence)} ${sequenceOptions(sequence)})`;
    parts.push(`GENERATED ${column.identity === 'a' ? 'ALWAYS' : 'BY DEFAULT'} AS IDENTITY${options}`);
  }
  if (column.not_null) {
    if (column.not_null_name !== null) parts.push(`CONSTRAINT ${quoteName(column.not_null_name)}`);
    parts.push('NOT NULL');
  }
  return parts.join(' ');
}

/** `fillfactor=70` */
function optionText(option: string): string {
  const at = option.indexOf('=');
  return `${option.slice(0, at)} = ${quoteText(option.slice(at + 1))}`;
}

export function sequenceObject(sequence: SequenceRow): SchemaObject {
  const name = quotedTable(sequence);
  return {
    kind: 'sequence',
    name,
    create: `CREATE SEQUENCE ${name} AS ${sequence.type} ${sequenceOptions(sequence)}`,
    drop: `DROP SEQUENCE IF EXISTS ${name}`,
  };
}

function sequenceOptions({ start, increment, min, max, cache, cycle }: SequenceRow): string {
  return `START WITH ${start} INCREMENT BY ${increment} MINVALUE ${min} MAXVALUE ${max} CACHE ${cache}${cycle ? ' CYCLE' : ' NO CYCLE'}`;
}

/** Undefined where no column of a table that is made owns it. */
export function ownerObject(sequence: SequenceRow, tables: readonly TableRow[]): SchemaObject | undefined {
  if (sequence.identity) return undefined;
  const table = tables.find(({ oid }) => oid === sequence.owner_oid);
  const column = table?.columns.find(({ number }) => number === sequence.owner_column);
  if (table === undefined || column === undefined) return undefined;
  const name = quotedTable(sequence);
  return {
    kind: 'detail',
    name,
    create: `ALTER SEQUENCE ${name} OWNED BY ${quotedTable(table)}.${quoteName(column.name)}`,
  };
}

export async function readTableRows(client: pg.ClientBase, oids: readonly number[]): Promise<TableRow[]> {
  return (await client.query<TableRow>(TABLES, [oids])).rows;
}

export async function readSequenceRows(
  client: pg.ClientBase,
  oids: readonly number[],
): Promise<SequenceRow[]> {
  return (await client.query<SequenceRow>(SEQUENCES, [oids])).rows;
}

const STORAGES = `CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END`;

const COLUMNS = `
SELECT jsonb_agg(jsonb_build_object('number', a.attnum, 'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
         'collation', ${collationText('a.attcollation', 't')},
         'not_null', a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n'
                                                  AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated),
         'not_null_name', (SELECT k.conname FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n'
                           AND k.conkey = ARRAY[a.attnum] AND k.conname <> c.relname || '_' || a.attname || '_not_null'),
         'identity', a.attidentity, 'generated', a.attgenerated, 'default_oid', d.oid::int8,
         'default_value', pg_get_expr(d.adbin, d.adrelid), 'local', a.attislocal,
         'storage', CASE WHEN a.attstorage <> t.typstorage THEN ${STORAGES} END,
         'compression', CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END)
       ORDER BY a.attnum)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`;

const TABLES = `
SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, pg_get_partkeydef(c.oid) AS partition_key,
       CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS partition_bound,
       coalesce((SELECT jsonb_agg(jsonb_build_object('oid', p.oid::int8, 'schema', pn.nspname, 'name', p.relname) ORDER BY i.inhseqno)
        FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
        WHERE i.inhrelid = c.oid), '[]') AS parents,
       (SELECT nullif(array_agg(o), '{}') FROM (
          SELECT unnest(c.reloptions) UNION ALL
          SELECT 'toast.' || unnest(x.reloptions) FROM pg_class x WHERE x.oid = c.reltoastrelid) AS u (o)
        WHERE o IS NOT NULL) AS options,
       (SELECT m.amname FROM pg_am m WHERE m.oid = c.relam AND m.amname <> 'heap') AS access_method,
       coalesce((${COLUMNS}), '[]') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1::oid[])`;

const SEQUENCES = `
SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, format_type(s.seqtypid, NULL) AS type,
       s.seqstart::text AS start, s.seqincrement::text AS increment, s.seqmin::text AS min, s.seqmax::text AS max,
       s.seqcache::text AS cache, s.seqcycle AS cycle, d.refobjid::int8::float8 AS owner_oid, d.refobjsubid AS owner_column,
       coalesce(d.deptype = 'i', false) AS identity
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
  AND d.deptype IN ('a', 'i')
WHERE c.oid = ANY ($1::oid[])
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;
