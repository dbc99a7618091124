/** One transaction over many tables, none of which is large enough alone to be written before it ends. */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { postgresServer } from '../../../test/servers/postgres.ts';
import { Lake } from '../../../test/worlds/lake.ts';
import { dropReplicationOf, replicate } from './run.ts';

const TABLES = 15;
const ROWS = 1000;

test('every row of every table comes once, as it is', async () => {
  await using server = await postgresServer();
  await using stack = new AsyncDisposableStack();
  const database = await server.createDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'longshore-lake-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const options = { from: database.url, to: `file://${folder}/`, name: 'many', untilCaughtUp: true };
  stack.defer(() => dropReplicationOf(options));
  const names = Array.from({ length: TABLES }, (_, i) => `t${i}`);
  await database.sql(names.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v text)`).join(';'));
  await replicate(options);
  const large = (i: string): string =>
    `(SELECT string_agg(md5(${i}::text || n), '') FROM generate_series(1, 280) n)`;
  const inserts = names.map(
    (name) => `INSERT INTO ${name} SELECT i, ${large('i')} FROM generate_series(1, ${ROWS}) i`,
  );
  const updates = names.map((name) => `UPDATE ${name} SET v = 'short' WHERE id % 10 = 0`);
  await database.sql(`BEGIN; ${[...inserts, ...updates].join(';')}; COMMIT`);
  await replicate(options);
  const lake = new Lake(folder, 'many');
  for (const name of names) {
    const changes = lake.changesOf(name);
    expect(changes.map(({ Op }) => Op).join('')).toBe('I'.repeat(ROWS) + 'U'.repeat(ROWS / 10));
    const rows = await database.sql(`SELECT id, md5(v) AS hash FROM ${name} ORDER BY id`);
    const replica = [...lake.current(name).values()].map(({ id, v }) => ({
      id,
      hash: createHash('md5').update(String(v)).digest('hex'),
    }));
    expect(replica.sort((a, b) => Number(a.id) - Number(b.id))).toEqual(rows);
  }
});
