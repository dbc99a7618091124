/** Makes a copied schema in another database: what is there already is recognised, and is never replaced. */

import type pg from 'pg';
import { LongshoreError } from '../../errors.ts';
import type { Node } from './schema-needs.ts';
import type { LaterStatement, SchemaObject } from './schema-object.ts';
import { readTypeObjects } from './schema-types.ts';

export interface CreatedSchema {
  /** Statements that take away what was made, in order; schemas and extensions stay. */
  readonly drops: readonly string[];
}

/**
 * Makes what must be there before rows come.
 *
 * @param client in a transaction, which is to be rolled back after an error
 * @param database its name, for errors
 * @throws CHECK_FAILED where a table, a sequence, or another type or function of a name is there, or an extension is not
 * available; the errors of the database
 */
export async function createBeforeData(
  client: pg.ClientBase,
  before: readonly SchemaObject[],
  database: string,
): Promise<CreatedSchema> {
  await client.query(`SELECT set_config('search_path', '', true)`);
  await client.query('SET LOCAL check_function_bodies = off');
  await checkExtensions(client, before, database);
  // Nothing can be looked up in a schema that is not there.
  for (const { create } of before.filter(isSchema)) await client.query(create);
  const there = await existing(client, before);
  const drops: string[] = [];
  for (const object of before.filter((one) => !isSchema(one))) {
    const found = there.get(object.name);
    if (found !== undefined && object.kind !== 'detail') {
      checkSame(object, found, database);
      continue;
    }
    await client.query(object.create);
    if (object.drop !== undefined) drops.unshift(object.drop);
  }
  return { drops: foldTables(drops) };
}

/** @throws CHECK_FAILED where one of the tables is there. @param tables `"schema"."table"` */
export async function checkAbsent(
  client: pg.ClientBase,
  tables: readonly string[],
  database: string,
): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT n AS name FROM unnest($1::text[]) n WHERE to_regclass(n) IS NOT NULL',
    [tables],
  );
  if (rows[0] === undefined) return;
  const more = rows.length > 1 ? `, and so are ${rows.length - 1} more` : '';
  throw new LongshoreError('CHECK_FAILED', `${rows[0].name} is in ${database} already${more}`, {
    hint: 'drop it there, leave it out with --tables, or name another database with --to',
  });
}

/**
 * Runs a statement of those that are made when the rows are there. Where rows of the source itself break a rule, it is
 * made for rows to come.
 *
 * @param client in a transaction
 * @returns what to tell the user
 */
export async function createLater(
  client: pg.ClientBase,
  { what, text, orElse }: LaterStatement,
): Promise<string | undefined> {
  await client.query('SAVEPOINT longshore_later');
  try {
    await client.query(text);
    return undefined;
  } catch (error) {
    if (orElse === undefined || !BROKEN_RULES.has((error as { code?: string }).code ?? '')) throw error;
    await client.query('ROLLBACK TO SAVEPOINT longshore_later');
    await client.query(orElse);
    return `rows of the source break ${what}: it is NOT VALID in the target`;
  }
}

/** Foreign key, check. */
const BROKEN_RULES: ReadonlySet<string> = new Set(['23503', '23514']);

function isSchema({ kind }: SchemaObject): boolean {
  return kind === 'schema';
}

interface Existing {
  /** Of a type or a function. */
  readonly create: string | undefined;
}

/** What is there of the same kind and name. */
async function existing(
  client: pg.ClientBase,
  before: readonly SchemaObject[],
): Promise<Map<string, Existing>> {
  const found = new Map<string, Existing>();
  const nodes: Node[] = [];
  const names = new Map<string, string>();
  for (const [kind, text] of LOOK_UPS) {
    const wanted = before.filter((object) => object.kind === kind).map(({ name }) => name);
    const { rows } = await client.query<{ name: string; oid: number; class: string }>(text, [wanted]);
    for (const { name, oid, class: catalogue } of rows) {
      nodes.push({ class: catalogue, oid, kind: '' });
      names.set(`${catalogue} ${oid}`, name);
      found.set(name, { create: undefined });
    }
  }
  for (const [key, { create }] of await readTypeObjects(client, nodes))
    found.set(names.get(key)!, { create });
  return found;
}

/** A name as `quoteName` gives it. */
function quoted(name: string): string {
  return `'"' || replace(${name}, '"', '""') || '"'`;
}

function lookUp(catalogue: string, schema: string, name: string): string {
  return `SELECT ${quoted('s.nspname')} || '.' || ${quoted(`c.${name}`)} AS name, c.oid::int8::float8 AS oid, '${catalogue}' AS class
    FROM ${catalogue} c JOIN pg_namespace s ON s.oid = c.${schema}
    WHERE ${quoted('s.nspname')} || '.' || ${quoted(`c.${name}`)} = ANY ($1::text[])`;
}

const LOOK_UPS: readonly (readonly [SchemaObject['kind'], string])[] = [
  ['type', lookUp('pg_type', 'typnamespace', 'typname')],
  [
    'function',
    `SELECT p.oid::regprocedure::text AS name, p.oid::int8::float8 AS oid, 'pg_proc' AS class
     FROM pg_proc p WHERE p.oid >= 16384 AND p.oid::regprocedure::text = ANY ($1::text[])`,
  ],
  [
    'collation',
    `${lookUp('pg_collation', 'collnamespace', 'collname')}
       AND c.collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))`,
  ],
  ['sequence', lookUp('pg_class', 'relnamespace', 'relname')],
  ['table', lookUp('pg_class', 'relnamespace', 'relname')],
];

function checkSame({ kind, name, create }: SchemaObject, found: Existing, database: string): void {
  if (found.create === create) return;
  const what =
    kind === 'table' || kind === 'sequence'
      ? `${name} is in ${database} already`
      : `the ${kind} ${name} is in ${database} already, and another one`;
  throw new LongshoreError('CHECK_FAILED', what, {
    hint: 'drop it there, leave out the tables that need it with --tables, or name another database with --to',
  });
}

async function checkExtensions(
  client: pg.ClientBase,
  before: readonly SchemaObject[],
  database: string,
): Promise<void> {
  const wanted = before.filter(({ kind }) => kind === 'extension').map(({ name }) => name);
  const { rows } = await client.query<{ name: string }>(
    `SELECT n AS name FROM unnest($1::text[]) n WHERE NOT EXISTS (
       SELECT FROM pg_available_extensions e WHERE format('"%s"', replace(e.name, '"', '""')) = n)`,
    [wanted],
  );
  if (rows[0] === undefined) return;
  throw new LongshoreError(
    'CHECK_FAILED',
    `the extension ${rows[0].name} is needed, and the server of ${database} does not have it`,
    { hint: 'install it on that server, or leave out the tables that need it with --tables' },
  );
}

/** Tables that point to one another go in one statement. */
export function foldTables(drops: readonly string[]): string[] {
  const prefix = 'DROP TABLE IF EXISTS ';
  const tables = drops.filter((text) => text.startsWith(prefix)).map((text) => text.slice(prefix.length));
  const others = drops.filter((text) => !text.startsWith(prefix));
  return tables.length === 0 ? others : [prefix + tables.join(', '), ...others];
}
