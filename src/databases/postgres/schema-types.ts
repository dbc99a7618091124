/** Definitions of types, collations and functions, as SQL that makes them elsewhere. */

import type pg from 'pg';
import type { Node } from './schema-needs.ts';
import { quoteText, type SchemaObject } from './schema-object.ts';
import { quoteName } from './sql.ts';

/** By `class oid`; without those that come into being with another one. */
export async function readTypeObjects(
  client: pg.ClientBase,
  nodes: readonly Node[],
): Promise<Map<string, SchemaObject>> {
  const oidsOf = (name: string): number[] =>
    nodes.filter((node) => node.class === name).map(({ oid }) => oid);
  const objects = new Map<string, SchemaObject>();
  const types = await client.query<TypeRow>(TYPES, [oidsOf('pg_type')]);
  for (const row of types.rows) {
    const object = typeObject(row);
    if (object !== undefined) objects.set(`pg_type ${row.oid}`, object);
  }
  const collations = await client.query<CollationRow>(COLLATIONS, [oidsOf('pg_collation')]);
  for (const row of collations.rows) objects.set(`pg_collation ${row.oid}`, collationObject(row));
  const functions = await client.query<FunctionRow>(FUNCTIONS, [oidsOf('pg_proc')]);
  for (const row of functions.rows) objects.set(`pg_proc ${row.oid}`, functionObject(row));
  return objects;
}

export interface TypeRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** As `pg_type.typtype`. */
  readonly kind: string;
  readonly labels: readonly string[] | null;
  /** Of a domain, with its length. */
  readonly base: string | null;
  readonly collation: string | null;
  readonly not_null: boolean;
  readonly default_value: string | null;
  readonly checks: readonly { readonly name: string; readonly definition: string }[] | null;
  readonly attributes:
    | readonly { readonly name: string; readonly type: string; readonly collation: string | null }[]
    | null;
  readonly range: {
    readonly subtype: string;
    readonly opclass: string;
    readonly collation: string | null;
    readonly canonical: string | null;
    readonly difference: string | null;
    readonly multirange: string | null;
  } | null;
}

/** Undefined for a type that cannot be made, or is made with another one. */
export function typeObject(row: TypeRow): SchemaObject | undefined {
  const name = `${quoteName(row.schema)}.${quoteName(row.name)}`;
  const body = typeBody(row);
  if (body === undefined) return undefined;
  const domain = row.kind === 'd';
  return {
    kind: 'type',
    name,
    create: `CREATE ${domain ? 'DOMAIN' : 'TYPE'} ${name} AS ${body}`,
    drop: `DROP ${domain ? 'DOMAIN' : 'TYPE'} IF EXISTS ${name}`,
  };
}

function typeBody(row: TypeRow): string | undefined {
  switch (row.kind) {
    case 'e':
      return `ENUM (${(row.labels ?? []).map(quoteText).join(', ')})`;
    case 'c': {
      const attributes = (row.attributes ?? []).map(
        ({ name, type, collation }) => `${quoteName(name)} ${type}${collate(collation)}`,
      );
      return `(${attributes.join(', ')})`;
    }
    case 'd': {
      const checks = (row.checks ?? []).map(
        ({ name, definition }) => ` CONSTRAINT ${quoteName(name)} ${definition}`,
      );
      const value = row.default_value === null ? '' : ` DEFAULT ${row.default_value}`;
      return `${row.base}${collate(row.collation)}${value}${row.not_null ? ' NOT NULL' : ''}${checks.join('')}`;
    }
    case 'r':
      return row.range === null || row.range.canonical !== null ? undefined : rangeBody(row.range);
    default:
      return undefined;
  }
}

function rangeBody(range: NonNullable<TypeRow['range']>): string {
  const parts = [`SUBTYPE = ${range.subtype}`, `SUBTYPE_OPCLASS = ${range.opclass}`];
  if (range.collation !== null) parts.push(`COLLATION = ${range.collation}`);
  if (range.difference !== null) parts.push(`SUBTYPE_DIFF = ${range.difference}`);
  if (range.multirange !== null) parts.push(`MULTIRANGE_TYPE_NAME = ${range.multirange}`);
  return `RANGE (${parts.join(', ')})`;
}

function collate(collation: string | null): string {
  return collation === null ? '' : ` COLLATE ${collation}`;
}

interface CollationRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly provider: string;
  readonly collate: string | null;
  readonly ctype: string | null;
  readonly locale: string | null;
  readonly rules: string | null;
  readonly deterministic: boolean;
}

const PROVIDERS: Readonly<Record<string, string>> = { b: 'builtin', c: 'libc', i: 'icu' };

function collationObject(row: CollationRow): SchemaObject {
  const name = `${quoteName(row.schema)}.${quoteName(row.name)}`;
  const parts = [`PROVIDER = ${PROVIDERS[row.provider] ?? 'libc'}`];
  // Before PostgreSQL 15 the locale of ICU stood in the place of that of the library.
  const locale = row.locale ?? (row.provider === 'c' ? null : row.collate);
  if (locale !== null) parts.push(`LOCALE = ${quoteText(locale)}`);
  else parts.push(`LC_COLLATE = ${quoteText(row.collate ?? '')}`, `LC_CTYPE = ${quoteText(row.ctype ?? '')}`);
  if (row.rules !== null) parts.push(`RULES = ${quoteText(row.rules)}`);
  if (!row.deterministic) parts.push('DETERMINISTIC = false');
  return {
    kind: 'collation',
    name,
    create: `CREATE COLLATION ${name} (${parts.join(', ')})`,
    drop: `DROP COLLATION IF EXISTS ${name}`,
  };
}

interface FunctionRow {
  readonly oid: number;
  readonly name: string;
  readonly definition: string;
}

function functionObject({ name, definition }: FunctionRow): SchemaObject {
  return { kind: 'function', name, create: definition, drop: `DROP ROUTINE IF EXISTS ${name}` };
}

/** A collation other than that of its type, quoted. */
export function collationText(collation: string, type: string): string {
  return `(SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co
     JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = ${collation} AND ${collation} <> ${type}.typcollation)`;
}

const TYPES = `
SELECT t.oid::int8::float8 AS oid, n.nspname AS schema, t.typname AS name, t.typtype AS kind, t.typnotnull AS not_null,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS base,
       (SELECT ${collationText('t.typcollation', 'bt')} FROM pg_type bt WHERE bt.oid = t.typbasetype) AS collation,
       CASE WHEN t.typtype = 'd' THEN coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)) END AS default_value,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels,
       (SELECT jsonb_agg(jsonb_build_object('name', c.conname, 'definition', pg_get_constraintdef(c.oid)) ORDER BY c.conname)
        FROM pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c') AS checks,
       (SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                 'collation', ${collationText('a.attcollation', 'at')}) ORDER BY a.attnum)
        FROM pg_attribute a JOIN pg_type at ON at.oid = a.atttypid
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
       (SELECT jsonb_build_object('subtype', format_type(r.rngsubtype, NULL),
                 'opclass', (SELECT quote_ident(ocn.nspname) || '.' || quote_ident(oc.opcname) FROM pg_opclass oc
                             JOIN pg_namespace ocn ON ocn.oid = oc.opcnamespace WHERE oc.oid = r.rngsubopc),
                 'collation', (SELECT ${collationText('r.rngcollation', 'st')} FROM pg_type st WHERE st.oid = r.rngsubtype),
                 'canonical', nullif(r.rngcanonical::oid, 0)::regproc::text,
                 'difference', nullif(r.rngsubdiff::oid, 0)::regproc::text,
                 'multirange', (SELECT quote_ident(mn.nspname) || '.' || quote_ident(m.typname) FROM pg_type m
                                JOIN pg_namespace mn ON mn.oid = m.typnamespace
                                WHERE m.oid = (to_jsonb(r) ->> 'rngmultitypid')::oid))
        FROM pg_range r WHERE r.rngtypid = t.oid AND t.typtype = 'r') AS range
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid = ANY ($1::oid[])`;

const COLLATIONS = `
SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.collname AS name, c.collprovider AS provider,
       c.collcollate AS collate, c.collctype AS ctype, c.collisdeterministic AS deterministic,
       coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale') AS locale,
       to_jsonb(c) ->> 'collicurules' AS rules
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.oid = ANY ($1::oid[])`;

/** Aggregates have no definition as one statement. */
const FUNCTIONS = `
SELECT p.oid::int8::float8 AS oid, p.oid::regprocedure::text AS name, pg_get_functiondef(p.oid) AS definition
FROM pg_proc p WHERE p.oid = ANY ($1::oid[]) AND p.prokind <> 'a'`;
