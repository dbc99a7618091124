/**
 * A replication into DuckDB that is killed where it applies what it landed, and at random moments, while a program
 * writes: every committed change is in the database once.
 */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dropReplicationOf } from '../../src/jobs/replicate/run.ts';
import { type PostgresServer, type PostgresTestDatabase, postgresServer } from '../servers/postgres.ts';
import { PostgresOracle } from '../worlds/postgres-oracle.ts';
import { expectWarehouse, WarehouseReader } from '../worlds/warehouse.ts';
import { seededRandom } from './traffic.ts';
import { runProgram } from './world.ts';

const POINTS = ['load-landed:1', 'applied:1', 'manifest-written:1', 'applied:1', 'confirmed:1'];
const RANDOM_KILLS = 2;
const SEED = Number(process.env['LONGSHORE_SEED'] ?? 42);
const TABLES = ['items', 'log', 'counted'];

let server: PostgresServer;
let database: PostgresTestDatabase;
let folder: string;
let reader: WarehouseReader;
const name = 'duckdb_kill';
const optionsOf = () => ({ from: database.url, to: `duckdb://${reader.path}`, name });

beforeAll(async () => {
  server = await postgresServer();
  database = await server.createDatabase();
  folder = mkdtempSync(join(tmpdir(), 'longshore-duckdb-'));
  reader = new WarehouseReader(join(folder, 'shop.duckdb'));
  // Of `log` no column says which row it is: what came twice would be there twice.
  await database.sql(`CREATE TABLE items (id bigserial PRIMARY KEY, v text, n numeric(12, 2), doc jsonb);
    CREATE TABLE log (what text); ALTER TABLE log REPLICA IDENTITY FULL;
    CREATE TABLE counted (id int PRIMARY KEY, n int); INSERT INTO counted VALUES (1, 0);
    INSERT INTO items (v, n, doc) SELECT 'loaded ' || i, i / 3.0, jsonb_build_object('i', i) FROM generate_series(1, 2000) i`);
});
afterAll(async () => {
  await dropReplicationOf(optionsOf());
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const run = (env: Record<string, string>, more: string[], onStart?: Parameters<typeof runProgram>[3]) => {
  const { from, to } = optionsOf();
  const args = ['replicate', '--from', from, '--to', to, '--name', name, '--every', '100ms', '--json'];
  return runProgram({ env: {}, folder }, [...args, ...more], env, onStart);
};

async function write(client: pg.Client, random: () => number): Promise<void> {
  const pick = () => 1 + Math.floor(random() * 2500);
  await client.query('BEGIN');
  await client.query(
    `INSERT INTO log VALUES ('same'), ('${pick()}'); UPDATE counted SET n = n + 1; INSERT INTO items (v) VALUES ('new');
     UPDATE items SET v = 'updated', n = NULL WHERE id BETWEEN ${pick()} AND ${pick()}; DELETE FROM items WHERE id = ${pick()};
     UPDATE items SET id = -id WHERE id = ${pick()}`,
  );
  if (random() < 0.1) await client.query('TRUNCATE log');
  if (random() < 0.1)
    await client.query(`DELETE FROM log WHERE ctid = (SELECT min(ctid) FROM log WHERE what = 'same')`);
  await client.query(random() < 0.1 ? 'ROLLBACK' : 'COMMIT');
}

test('killed at every step and at random moments', async () => {
  const random = seededRandom(SEED);
  await using stack = new AsyncDisposableStack();
  const oracle = stack.use(await PostgresOracle.open(database.url));
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  stack.defer(() => client.end());
  for (const point of POINTS) {
    const killed = await run({ LONGSHORE_KILL_AT: point }, ['--until-caught-up']);
    expect(killed.signal, `${point}: ${killed.stderr}`).toBe('SIGKILL');
    for (let i = 0; i < 10; i++) await write(client, random);
  }
  let kills = 0;
  for (let i = 0; i < RANDOM_KILLS; i++) {
    let writing = true;
    const afterMs = 500 + Math.floor(random() * 700);
    const running = run({}, [], (kill) => setTimeout(() => kill('SIGKILL'), afterMs));
    const writer = (async () => {
      while (writing) await write(client, random);
    })();
    if ((await running).signal === 'SIGKILL') kills++;
    writing = false;
    await writer;
  }
  expect(kills).toBeGreaterThan(0);
  const last = await run({}, ['--until-caught-up']);
  expect(last.code, last.stderr).toBe(0);
  await expectWarehouse(reader, oracle, TABLES, { rowsMin: 2000 });
  const left = readdirSync(`${reader.path}.longshore`, { recursive: true }) as string[];
  expect(left.filter((file) => file.endsWith('.parquet'))).toEqual([]);
});

test('verified by the program', async () => {
  const { from, to } = optionsOf();
  const args = ['replicate', 'verify', '--from', from, '--to', to, '--name', name];
  const verified = await runProgram({ env: {}, folder }, args, {});
  expect([verified.code, verified.stdout]).toEqual([0, expect.stringContaining('✓ public.counted: 1 rows')]);
  const status = await runProgram(
    { env: {}, folder },
    ['status', '--to', to, '--name', name, '--from', from],
    {},
  );
  expect([status.code, status.stdout]).toEqual([0, expect.stringContaining('public.items')]);
  const plan = await runProgram(
    { env: {}, folder },
    [...args.filter((arg) => arg !== 'verify'), '--plan'],
    {},
  );
  expect([plan.code, plan.stdout]).toEqual([0, expect.stringMatching(/doc +jsonb +JSON/)]);
});
