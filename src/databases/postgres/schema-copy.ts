/**
 * Copies the definitions of tables: reads what they are made of and what they need from one database, and gives the SQL
 * that makes them in another one, in two parts: what must be there before rows come, and what is made when they are there.
 *
 * Not copied, and named where tables have them: owners, grants, views, triggers, rules, policies, keys to tables that are
 * not copied. Functions are copied where a default, a check, an index or a type needs them.
 */

import type pg from 'pg';
import { LongshoreError } from '../../errors.ts';
import { laterStages, readLaterRows } from './schema-later.ts';
import { readSchemaNotices } from './schema-left-out.ts';
import { type Node, readSchemaNeeds } from './schema-needs.ts';
import type { LaterStage, SchemaObject } from './schema-object.ts';
import {
  lateDefaultObjects,
  ownerObject,
  readSequenceRows,
  readTableRows,
  type SequenceRow,
  sequenceObject,
  type TableRow,
  tableObjects,
} from './schema-tables.ts';
import { readTypeObjects } from './schema-types.ts';
import { quoteName } from './sql.ts';

export interface SchemaCopy {
  /** In order. */
  readonly before: readonly SchemaObject[];
  readonly after: readonly LaterStage[];
  /** What is not copied, each as a sentence for the user. */
  readonly notices: readonly string[];
}

/**
 * @param client in a transaction, best under the snapshot that rows are read under; its search path is changed meanwhile
 * @param tables oids of tables; partitions come with theirs
 * @param known oids of tables that are in the other database already, and may be pointed to; their foreign keys to the
 * tables that are made are copied too
 * @throws CHECK_FAILED for what cannot be copied and without which a table cannot be made
 */
export async function readSchemaCopy(
  client: pg.ClientBase,
  tables: readonly number[],
  known: readonly number[] = [],
): Promise<SchemaCopy> {
  return await withPlainNames(client, async () => {
    const oids = await withPartitions(client, tables);
    const needs = await readSchemaNeeds(client, oids);
    const types = await readTypeObjects(client, needs.ordered);
    const rows = new Map((await readTableRows(client, oids)).map((row) => [row.oid, row]));
    const sequences = await readSequenceRows(client, relationsOf(needs.ordered, 'S'));
    const context = {
      chosen: rows,
      lateDefaults: needs.lateDefaults,
      identitySequences: new Map(
        sequences
          .filter(({ identity }) => identity)
          .map((row) => [`${row.owner_oid} ${row.owner_column}`, row]),
      ),
    };
    const made = new Map<number, SequenceRow>(sequences.map((row) => [row.oid, row]));
    const objects: SchemaObject[] = [];
    const unmade: Node[] = [...needs.foreign];
    for (const node of needs.ordered) {
      const object = types.get(`${node.class} ${node.oid}`);
      const sequence = made.get(node.oid);
      if (object !== undefined) objects.push(object);
      else if (node.class === 'pg_class' && rows.has(node.oid))
        objects.push(...tableObjects(rows.get(node.oid)!, context));
      else if (node.class === 'pg_class' && sequence !== undefined) {
        if (!sequence.identity) objects.push(sequenceObject(sequence));
      } else if (node.kind !== 'm') unmade.push(node);
    }
    for (const row of rows.values()) objects.push(...lateDefaultObjects(row, context));
    for (const sequence of sequences) {
      const owned = ownerObject(sequence, [...rows.values()]);
      if (owned !== undefined) objects.push(owned);
    }
    checkPartitions(await foreignPartitions(client, oids));
    const extensions = await readExtensions(client, needs.extensions);
    const later = await readLaterRows(client, oids, known);
    const reachable = new Set([...oids, ...known]);
    const isReachable = ({ target_oid: oid }: { readonly target_oid: number | null }): boolean =>
      oid !== null && reachable.has(oid);
    return {
      before: [
        ...schemaObjects([...rows.values(), ...sequences], objects, extensions),
        ...extensions,
        ...objects,
      ],
      after: laterStages({ ...later, foreignKeys: later.foreignKeys.filter(isReachable) }),
      notices: [
        ...(await readSchemaNotices(client, oids, unmade)),
        ...later.foreignKeys
          .filter((key) => !isReachable(key))
          .map(
            (key) =>
              `the foreign key ${key.name} of ${key.schema}.${key.table} is not copied: it points to a table that is not`,
          ),
      ],
    };
  });
}

/** Names come with their schemas, and expressions with those of their functions. */
async function withPlainNames<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  const { rows } = await client.query<{ path: string }>(`SELECT current_setting('search_path') AS path`);
  await client.query(`SELECT set_config('search_path', '', false)`);
  const result = await work();
  await client.query(`SELECT set_config('search_path', $1, false)`, [rows[0]!.path]);
  return result;
}

async function withPartitions(client: pg.ClientBase, tables: readonly number[]): Promise<number[]> {
  const { rows } = await client.query<{ oid: number }>(
    `SELECT DISTINCT t.oid::int8::float8 AS oid, t.place, t.level FROM unnest($1::oid[]) WITH ORDINALITY AS root (oid, place)
     CROSS JOIN LATERAL (
       SELECT root.oid, root.place, 0 AS level
       UNION SELECT p.relid, root.place, p.level FROM pg_partition_tree(root.oid) p) t
     ORDER BY place, level, oid`,
    [tables],
  );
  return [...new Set(rows.map(({ oid }) => oid))];
}

function relationsOf(nodes: readonly Node[], kind: string): number[] {
  return nodes.filter((node) => node.class === 'pg_class' && node.kind === kind).map(({ oid }) => oid);
}

function schemaObjects(
  relations: readonly (TableRow | SequenceRow)[],
  objects: readonly SchemaObject[],
  extensions: readonly (SchemaObject & { readonly schema: string })[],
): SchemaObject[] {
  const names = new Set(relations.map(({ schema }) => quoteName(schema)));
  for (const { kind, name } of objects) {
    const schema = kind === 'detail' ? undefined : /^(?:"(?:[^"]|"")+"|[^."(]+)(?=\.)/.exec(name)?.[0];
    if (schema !== undefined) names.add(schema.startsWith('"') ? schema : quoteName(schema));
  }
  for (const { schema } of extensions) names.add(quoteName(schema));
  names.delete(quoteName('pg_catalog'));
  return [...names].sort().map((name) => ({
    kind: 'schema',
    name,
    create: `CREATE SCHEMA IF NOT EXISTS ${name}`,
  }));
}

async function readExtensions(
  client: pg.ClientBase,
  oids: readonly number[],
): Promise<(SchemaObject & { readonly schema: string })[]> {
  const { rows } = await client.query<{ name: string; schema: string }>(
    `SELECT e.extname AS name, n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid = ANY ($1::oid[]) ORDER BY e.oid`,
    [oids],
  );
  return rows.map(({ name, schema }) => ({
    kind: 'extension',
    name: quoteName(name),
    schema,
    create: `CREATE EXTENSION IF NOT EXISTS ${quoteName(name)} SCHEMA ${quoteName(schema)} CASCADE`,
  }));
}

async function foreignPartitions(client: pg.ClientBase, oids: readonly number[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT oid::regclass::text AS name FROM pg_class WHERE oid = ANY ($1::oid[]) AND relkind NOT IN ('r', 'p')`,
    [oids],
  );
  return rows.map(({ name }) => name);
}

function checkPartitions([name]: readonly string[]): void {
  if (name === undefined) return;
  throw new LongshoreError(
    'CHECK_FAILED',
    `the partition ${name} is a foreign table, which cannot be copied`,
    {
      hint: 'leave its table out, or detach the partition',
    },
  );
}
