/** What a database of PostgreSQL is made of, as far as a backup tells of it and a restore is held against it. */

import type pg from 'pg';
import { readSequenceValues } from './sequence-values.ts';

export interface CatalogueTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** Those that COPY writes, in order: without dropped and generated ones. */
  readonly columns: readonly string[];
  /** With indexes and TOAST. */
  readonly bytes: number;
}

/** Every table whose rows a dump has: partitions, not their parents; none of extensions, and no temporary ones. */
export async function readDumpTables(client: pg.ClientBase): Promise<CatalogueTable[]> {
  const { rows } = await client.query<CatalogueTable>(TABLES);
  return rows;
}

/** Names of everything else, each with its kind, in order. */
export async function readObjects(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ object: string }>(OBJECTS);
  return rows.map(({ object }) => object);
}

export interface SequencePosition {
  readonly schema: string;
  readonly name: string;
  /** `17 true`: the last value, and whether it was given out. */
  readonly value: string;
}

/** Where each sequence stands, by `schema.name`. */
export async function readSequences(client: pg.ClientBase): Promise<Map<string, string>> {
  const positions = await readSequencePositions(client);
  return new Map(positions.map(({ schema, name, value }) => [`${schema}.${name}`, value]));
}

/** In the order of schema and name. */
export async function readSequencePositions(client: pg.ClientBase): Promise<SequencePosition[]> {
  const { rows: names } = await client.query<{ schema: string; name: string }>(SEQUENCES);
  const values = await readSequenceValues(client, names);
  return values.map(({ schema, name, value, given }) => ({ schema, name, value: `${value} ${given}` }));
}

/** Roles that own something, or that something was granted to. */
export async function readRoles(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(ROLES);
  return rows.map(({ name }) => name);
}

/** `name version` */
export async function readExtensions(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ extension: string }>(
    `SELECT extname || ' ' || extversion AS extension FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1`,
  );
  return rows.map(({ extension }) => extension);
}

export async function countLargeObjects(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ count: number }>(
    'SELECT count(*)::float8 AS count FROM pg_largeobject_metadata',
  );
  return rows[0]!.count;
}

/** How large tables are, of those that have these oids. */
export interface HeapSize {
  readonly oid: number;
  /** With what is stored apart, and without indexes. */
  readonly bytes: number;
  readonly pages: number;
  /** Whether it is stored in pages of rows, as tables are unless something else was chosen. */
  readonly heap: boolean;
}

export async function readHeapSizes(
  client: pg.ClientBase,
  tables: readonly CatalogueTable[],
): Promise<HeapSize[]> {
  const { rows } = await client.query<HeapSize>(HEAP_SIZES, [tables.map(({ oid }) => oid)]);
  return rows;
}

/** Tables of extensions that have rows of users in them, as the extension says: `name schema.table`. */
export async function readExtensionRows(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ extension: string; name: string; condition: string }>(
    EXTENSION_TABLES,
  );
  const found: string[] = [];
  for (const { extension, name, condition } of rows) {
    const { rowCount } = await client.query(`SELECT FROM ${name} ${condition} LIMIT 1`);
    if (rowCount === 1) found.push(`${extension} ${name}`);
  }
  return found;
}

const HEAP_SIZES = `
SELECT c.oid::int8::float8 AS oid, pg_table_size(c.oid)::float8 AS bytes, coalesce(a.amname = 'heap', false) AS heap,
       (pg_relation_size(c.oid) / current_setting('block_size')::int8)::float8 AS pages
FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam WHERE c.oid = ANY ($1::oid[])`;

const EXTENSION_TABLES = `
SELECT e.extname AS extension, format('%I.%I', n.nspname, c.relname) AS name, t.condition
FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) t (oid, condition)
JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' ORDER BY 1, 2`;

/** Not those of the system, of extensions, and of other sessions. */
const OF_USERS = `n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'`;
const ofExtension = (catalogue: string, oid: string): string =>
  `EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalogue}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

const TABLES = `
SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, pg_total_relation_size(c.oid)::float8 AS bytes,
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '{}') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND ${OF_USERS} AND NOT ${ofExtension('pg_class', 'c.oid')}
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

const SEQUENCES = `
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ${OF_USERS} AND NOT ${ofExtension('pg_class', 'c.oid')}
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

/** By catalogue: which of its rows stand for an object of a user. */
const CATALOGUES: readonly (readonly [string, string])[] = [
  ['pg_namespace', `SELECT n.oid FROM pg_namespace n WHERE ${OF_USERS} AND n.nspname <> 'public'`],
  [
    'pg_class',
    `SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${OF_USERS} AND c.relpersistence <> 't' AND c.relkind IN ('v', 'm', 'i', 'I', 'p', 'f', 'c')`,
  ],
  [
    'pg_proc',
    `SELECT c.oid FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace WHERE ${OF_USERS}
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = c.oid AND d.deptype = 'i')`,
  ],
  [
    'pg_type',
    `SELECT c.oid FROM pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace WHERE ${OF_USERS} AND c.typtype IN ('e', 'd', 'r')`,
  ],
  // Of the kinds that every version has as constraints.
  [
    'pg_constraint',
    `SELECT c.oid FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
     WHERE ${OF_USERS} AND c.contype IN ('p', 'u', 'f', 'c', 'x') AND NOT ${ofExtension('pg_class', 'c.conrelid')}`,
  ],
  [
    'pg_trigger',
    `SELECT t.oid FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${OF_USERS} AND NOT t.tgisinternal AND NOT ${ofExtension('pg_class', 'c.oid')}`,
  ],
  [
    'pg_rewrite',
    `SELECT r.oid FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${OF_USERS} AND r.rulename <> '_RETURN' AND NOT ${ofExtension('pg_class', 'c.oid')}`,
  ],
  ['pg_policy', 'SELECT p.oid FROM pg_policy p'],
  [
    'pg_attrdef',
    `SELECT a.oid FROM pg_attrdef a JOIN pg_class c ON c.oid = a.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE ${OF_USERS} AND c.relpersistence <> 't' AND NOT ${ofExtension('pg_class', 'c.oid')}`,
  ],
  ['pg_extension', `SELECT e.oid FROM pg_extension e WHERE e.extname <> 'plpgsql'`],
  ['pg_event_trigger', 'SELECT e.oid FROM pg_event_trigger e'],
  [
    'pg_statistic_ext',
    `SELECT c.oid FROM pg_statistic_ext c JOIN pg_namespace n ON n.oid = c.stxnamespace WHERE ${OF_USERS}`,
  ],
  [
    'pg_operator',
    `SELECT c.oid FROM pg_operator c JOIN pg_namespace n ON n.oid = c.oprnamespace WHERE ${OF_USERS}`,
  ],
  [
    'pg_collation',
    `SELECT c.oid FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE ${OF_USERS}`,
  ],
  [
    'pg_ts_config',
    `SELECT c.oid FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace WHERE ${OF_USERS}`,
  ],
  [
    'pg_ts_dict',
    `SELECT c.oid FROM pg_ts_dict c JOIN pg_namespace n ON n.oid = c.dictnamespace WHERE ${OF_USERS}`,
  ],
  ['pg_publication', 'SELECT p.oid FROM pg_publication p'],
];

const OBJECTS = `
SELECT i.type || ' ' || i.identity AS object
FROM (${CATALOGUES.map(([name, text]) => `SELECT '${name}'::regclass AS catalogue, o.oid FROM (${text}) o`).join('\nUNION ALL ')}) o
CROSS JOIN LATERAL pg_identify_object(o.catalogue, o.oid, 0) i
WHERE NOT EXISTS (
  SELECT FROM pg_depend d WHERE d.classid = o.catalogue AND d.objid = o.oid AND d.deptype = 'e')
ORDER BY i.type COLLATE "C", i.identity COLLATE "C"`;

const ROLES = `
SELECT DISTINCT pg_get_userbyid(r.oid)::text COLLATE "C" AS name FROM (
  SELECT s.refobjid AS oid FROM pg_shdepend s JOIN pg_database b ON b.oid = s.dbid
  WHERE b.datname = current_database() AND s.refclassid = 'pg_authid'::regclass
  UNION SELECT c.relowner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OF_USERS}
  UNION SELECT c.proowner FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace WHERE ${OF_USERS}
  UNION SELECT c.typowner FROM pg_type c JOIN pg_namespace n ON n.oid = c.typnamespace WHERE ${OF_USERS}
  UNION SELECT n.nspowner FROM pg_namespace n WHERE ${OF_USERS} AND n.nspname <> 'public'
) r WHERE pg_get_userbyid(r.oid) !~ '^pg_' ORDER BY 1`;
