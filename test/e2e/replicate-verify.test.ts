/** A replication of `longshore.yaml`, from its first load to its verification. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { runProgram } from './world.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

test('longshore verify names the rows of a replica that differ', async () => {
  const database = await server.createDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'longshore-lake-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, 'longshore.yaml');
  writeFileSync(
    config,
    `replicate:\n  lake:\n    from: ${database.url}\n    to: file://${folder}/\n    untilCaughtUp: true\n`,
  );
  await database.sql(
    `CREATE TABLE items (id int PRIMARY KEY, v text); INSERT INTO items SELECT i, 'v' || i FROM generate_series(1, 100) i`,
  );
  const run = (...args: string[]) => runProgram({ env: {}, folder }, [...args, '--config', config], {});
  stack.defer(async () => void (await run('replicate', 'drop', 'lake')));

  const nothing = await run('verify', 'lake');
  expect([nothing.code, nothing.stderr]).toEqual([3, expect.stringContaining('lake has landed nothing')]);
  expect((await run('replicate', 'lake')).code).toBe(0);
  await database.sql(`UPDATE items SET v = 'changed' WHERE id <= 10; DELETE FROM items WHERE id = 11`);
  const same = await run('verify', 'lake');
  expect([same.code, same.stdout]).toEqual([0, expect.stringContaining('✓ public.items: 99 rows')]);

  await database.sql(
    `ALTER PUBLICATION longshore_lake DROP TABLE items; UPDATE items SET v = 'unseen' WHERE id = 50`,
  );
  const different = await run('verify', 'lake');
  expect([different.code, different.stdout]).toEqual([1, expect.stringContaining('["50"] different')]);
});
