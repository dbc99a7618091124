/** Schemas copied into another database: PostgreSQL says the same of both. */

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { NASTY_ROWS, NASTY_SCHEMA } from '../../../test/worlds/nasty-schema.ts';
import { loadPagilaSchema, pagilaAvailable } from '../../../test/worlds/pagila.ts';
import { schemaFacts } from '../../../test/worlds/schema-facts.ts';
import { readSchemaCopy, type SchemaCopy } from './schema-copy.ts';
import { createBeforeData, createLater } from './schema-create.ts';
import { readTables } from './table-catalogue.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

async function connect(url: string, stack: AsyncDisposableStack): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  stack.defer(() => client.end());
  return client;
}

/** Copies every table but some, without rows. */
async function copied(
  from: string,
  to: string,
  left: readonly string[] = [],
): Promise<SchemaCopy & { readonly drops: readonly string[] }> {
  await using stack = new AsyncDisposableStack();
  const [source, target] = [await connect(from, stack), await connect(to, stack)];
  const tables = (await readTables(source)).filter(({ name }) => !left.includes(name));
  const copy = await readSchemaCopy(
    source,
    tables.map(({ oid }) => oid),
  );
  await target.query('BEGIN');
  const { drops } = await createBeforeData(target, copy.before, 'copy');
  for (const { groups } of copy.after)
    for (const statement of groups.flat()) expect(await createLater(target, statement)).toBeUndefined();
  await target.query('COMMIT');
  return { ...copy, drops };
}

describe('everything that a table can be made of', () => {
  test('comes out as it is, and goes again', async () => {
    const [source, target] = [await server.createDatabase(), await server.createDatabase()];
    await source.sql(NASTY_SCHEMA);
    await source.sql(NASTY_ROWS);
    const { drops, notices } = await copied(source.url, target.url, ['outside']);
    const left = [
      'nasty.outside',
      'parts.unused',
      'nasty.parent parent_outside_fkey',
      'CREATE UNIQUE INDEX outside_pkey',
      'CREATE OR REPLACE FUNCTION nasty.touch',
    ];
    expect(await schemaFacts(target.url)).toEqual(await schemaFacts(source.url, left));
    expect(notices).toEqual([
      'not copied: the triggers touched of nasty.kinds',
      'not copied: the row level security of nasty.round',
      'not copied: the views nasty.moods',
      'the foreign key parent_outside_fkey of nasty.parent is not copied: it points to a table that is not',
    ]);
    await target.sql(`DROP FUNCTION parts.next_of CASCADE`);
    for (const text of drops) await target.sql(text);
    const { relations, types, functions } = await schemaFacts(target.url);
    expect([relations, types, functions]).toEqual([[], [], []]);
  });

  test('what is there already is recognised, and another one of the name is refused', async () => {
    const [source, target] = [await server.createDatabase(), await server.createDatabase()];
    await source.sql(`CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN price AS numeric CHECK (VALUE > 0);
      CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE t (m mood, p price, n int DEFAULT one())`);
    await target.sql(`CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN price AS numeric CHECK (VALUE > 0);
      CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'`);
    const { drops } = await copied(source.url, target.url);
    expect(drops).toEqual(['DROP TABLE IF EXISTS "public"."t"']);
    await target.sql(`DROP TABLE t; CREATE OR REPLACE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 2'`);
    await expect(copied(source.url, target.url)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: 'the function public.one() is in copy already, and another one',
    });
  });

  test('what cannot be made is named', async () => {
    const [source, target] = [await server.createDatabase(), await server.createDatabase()];
    await source.sql(`CREATE TEXT SEARCH CONFIGURATION own (COPY = simple);
      CREATE TABLE t (id int PRIMARY KEY, v text, s tsvector GENERATED ALWAYS AS (to_tsvector('own', v)) STORED);
      CREATE TABLE parents (id int); CREATE TABLE children (c int) INHERITS (parents)`);
    await target.sql('CREATE TEXT SEARCH CONFIGURATION own (COPY = simple)');
    const { notices } = await copied(source.url, target.url, ['parents']);
    expect(notices).toEqual([
      'not copied: the inheritance from tables that are not copied, by public.children from public.parents',
      'needed and not copied, to be made in the target first: text search configuration public.own',
    ]);
    expect((await schemaFacts(target.url))['columns']).toEqual(
      (await schemaFacts(source.url, ['public.parents', 'public.children']))
        ['columns']!.concat([
          'public.children c integer f   - p t 0',
          'public.children id integer f   - p t 0',
        ])
        .sort(),
    );
  });

  test('an extension that the server does not have is named', async () => {
    const target = await server.createDatabase();
    await using stack = new AsyncDisposableStack();
    const client = await connect(target.url, stack);
    await client.query('BEGIN');
    const create = createBeforeData(client, [{ kind: 'extension', name: '"not there"', create: '' }], 'copy');
    await expect(create).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: 'the extension "not there" is needed, and the server of copy does not have it',
    });
  });

  test('rules that rows of the source break hold for rows to come', async () => {
    const target = await server.createDatabase();
    await using stack = new AsyncDisposableStack();
    const client = await connect(target.url, stack);
    await client.query('CREATE TABLE t (id int); INSERT INTO t VALUES (1); BEGIN');
    const text = 'ALTER TABLE t ADD CONSTRAINT large CHECK (id > 5)';
    expect(
      await createLater(client, { what: 'the constraint large', text, orElse: `${text} NOT VALID` }),
    ).toContain('NOT VALID');
    await client.query('COMMIT');
    expect(await target.sql("SELECT convalidated FROM pg_constraint WHERE conname = 'large'")).toEqual([
      { convalidated: false },
    ]);
  });
});

test.skipIf(!pagilaAvailable())('pagila comes out as it is', async () => {
  const [source, target] = [await server.createDatabase(), await server.createDatabase()];
  await loadPagilaSchema(source.url);
  await copied(source.url, target.url);
  const [ours, theirs] = [await schemaFacts(source.url), await schemaFacts(target.url)];
  // Functions that only triggers, views and reports use are not copied.
  expect({ ...theirs, functions: [] }).toEqual({ ...ours, functions: [] });
  expect(theirs['relations']!.length).toBeGreaterThan(20);
});
