/** Databases copied while they change, held against the snapshot they were copied under. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { installedPgDump } from '../../../test/servers/pg-dump.ts';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { loadPagila, pagilaAvailable } from '../../../test/worlds/pagila.ts';
import { TORTURE_DATABASE } from '../../../test/worlds/torture-database.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { compareFacts } from '../compare-facts.ts';
import { type CopyDatabaseOptions, copyDatabase } from './copy-database.ts';
import { openPostgresTarget } from './restore-target.ts';

const pgDump = await installedPgDump();
const { signal } = new AbortController();
const connection = ({ url }: PostgresTestDatabase) => parseDatabaseUrl(url).connection;
const deaf = { onPhase: () => undefined, onBytes: () => undefined };
const SMALL_PARTS = { jobs: 3, partBytesMin: 64 * 1024, partBytesMax: 256 * 1024 };

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

/** @returns what is not the same */
async function copied(
  source: PostgresTestDatabase,
  target: PostgresTestDatabase,
  options: CopyDatabaseOptions = {},
): Promise<string[]> {
  const copy = await copyDatabase(
    connection(source),
    connection(target),
    { ...SMALL_PARTS, ...options, facts: true },
    deaf,
    signal,
  );
  await using there = await openPostgresTarget(connection(target), {});
  return compareFacts(copy.facts!, await there.facts(copy.facts!, signal));
}

const BIG = `
CREATE TABLE big (id int PRIMARY KEY, v text, n int);
INSERT INTO big SELECT i, repeat('v' || i, 10), i % 100 FROM generate_series(1, 30000) i;
CREATE INDEX ON big (n);
CREATE TABLE pointing (big int REFERENCES big, PRIMARY KEY (big));
INSERT INTO pointing SELECT i FROM generate_series(1, 500) i;
SELECT lo_from_bytea(0, 'large');
`;

test.skipIf(pgDump === undefined)('everything that a database can have, while rows come and go', async () => {
  const [source, target] = [await server.createDatabase(), await server.createDatabase()];
  await source.sql(BIG);
  await source.sql(TORTURE_DATABASE);
  let stop = false;
  const writing = (async () => {
    for (let i = 0; !stop; i++)
      await source.sql(
        `INSERT INTO big VALUES (${100_000 + i}, 'written', 0); UPDATE big SET n = n + 1 WHERE id % 50 = ${i % 50}`,
      );
  })();
  try {
    expect(await copied(source, target)).toEqual([]);
  } finally {
    stop = true;
    await writing;
  }
  const [row] = await target.sql(
    `SELECT count(DISTINCT id)::int AS ids, count(*)::int AS rows, count(*) FILTER (WHERE id <= 30000)::int AS old FROM big`,
  );
  expect(row!['ids']).toBe(row!['rows']);
  expect(row!['old']).toBe(30_000);
  await expect(target.sql('INSERT INTO pointing VALUES (999999999)')).rejects.toThrow('foreign key');
});

test.skipIf(pgDump === undefined || !pagilaAvailable())('pagila', async () => {
  const [source, target] = [await server.createDatabase(), await server.createDatabase()];
  await loadPagila(source.url);
  expect(await copied(source, target)).toEqual([]);
});

test.skipIf(pgDump === undefined)('what breaks off is told, and no connection is left', async () => {
  const [source, target] = [await server.createDatabase(), await server.createDatabase()];
  await source.sql(BIG);
  const stop = new AbortController();
  const listener = { ...deaf, onBytes: () => stop.abort(new Error('stopped')) };
  await expect(
    copyDatabase(connection(source), connection(target), SMALL_PARTS, listener, stop.signal),
  ).rejects.toThrow('stopped');
  await target.sql('CREATE TABLE big (id int)').catch(() => undefined);
  await expect(copied(source, target)).rejects.toThrow(/already exists/);
  for (const { sql, name } of [source, target]) {
    const others = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = '${name}' AND application_name LIKE 'longshore%' AND pid <> pg_backend_pid()`;
    await expect.poll(async () => (await sql(others))[0]!['n']).toBe(0);
  }
});
