/** Keys that can be read in more than one way: plan, move and audit read them alike. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { FROM, keysOf, moveWorld, put, TO } from '../../../test/worlds/move-world.ts';
import { auditReferences } from './audit.ts';
import { planMove } from './plan.ts';
import { move } from './run.ts';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await postgresServer();
});
afterAll(() => postgres[Symbol.asyncDispose]());

test.each([
  ['with a key', 'id int PRIMARY KEY, '],
  ['without a key', ''],
])('a table %s', async (_, key) => {
  await using world = await moveWorld();
  const database = await postgres.createDatabase();
  await database.sql(`CREATE TABLE t (${key}path text)`);
  // Encoded names of one object, a literal name of another beside its twin, and a twin that nobody names.
  for (const name of ['image/a b.png', 'image/c%20d.png', 'image/c d.png']) await put(world.legacy, name);
  const values = ['image/a%20b.png', 'image/c%20d.png'].map((path, i) =>
    key === '' ? `('${path}')` : `(${i}, '${path}')`,
  );
  await database.sql(`INSERT INTO t VALUES ${values.join(', ')}`);
  const rows = [`${database.url}#t.path`];
  const options = { from: FROM, to: TO, rows, delete: 'proven' } as const;
  const plan = await planMove(options, world.environment);
  expect(plan.objects).toMatchObject({ toCopy: 2, orphans: 1 });
  expect(plan.missing.count).toBe(0);
  const audit = await auditReferences({ store: FROM, rows }, world.environment);
  expect(audit.counts).toMatchObject({ missing: 0, orphan: 1 });
  const summary = await move(options, world.environment);
  expect(summary).toMatchObject({ failures: 0, total: { objects: { copied: 2 }, rows: { rewritten: 2 } } });
  expect(await keysOf(world.legacy)).toEqual(['image/c d.png']);
});
