/**
 * A full load that is killed and gone on with, under the snapshot that another process holds, and under another one
 * where nobody does any more; while a program writes all the time.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ReplicateEvent } from '../../src/jobs/replicate/events.ts';
import { dropReplicationOf } from '../../src/jobs/replicate/run.ts';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { Lake } from '../worlds/lake.ts';
import { seededRandom } from './traffic.ts';
import { runProgram } from './world.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const ROWS = 500_000;
let jobs = 0;

async function setUp() {
  const stack = new AsyncDisposableStack();
  const database = await server.createDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'longshore-lake-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  await database.sql(`
    CREATE TABLE big (id bigint PRIMARY KEY, v text NOT NULL, pad text);
    INSERT INTO big SELECT i, 'loaded', repeat('x', 120) FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE small (id int PRIMARY KEY, v text NOT NULL); INSERT INTO small VALUES (1, 'one')`);
  const name = `resume_${++jobs}`;
  stack.defer(() => dropReplicationOf({ from: database.url, to: `file://${folder}/`, name }));
  const args = ['replicate', '--from', database.url, '--to', `file://${folder}/`, '--name', name, '--json'];
  return {
    database,
    lake: new Lake(folder, name),
    async run(env: Record<string, string> = {}, ...more: string[]) {
      const ended = await runProgram({ env: {}, folder }, [...args, '--until-caught-up', ...more], env);
      const events = ended.stderr
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as ReplicateEvent);
      return { ...ended, started: events.find((event) => event.type === 'load-started') };
    },
    /** Ends the process that holds the snapshot. */
    letGo: () =>
      database.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'longshore_${name} snapshot'`,
      ),
    holders: async () =>
      (
        await database.sql(
          `SELECT pid FROM pg_stat_activity WHERE application_name = 'longshore_${name} snapshot'`,
        )
      ).length,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

type World = Awaited<ReturnType<typeof setUp>>;

/** Writes all over the table until it is stopped: also keys that go from one end of it to the other. */
async function writing({ database }: World): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const random = seededRandom(7);
  let stop = false;
  const run = (async () => {
    for (let i = 1; !stop; i++) {
      const id = 1 + Math.floor(random() * ROWS);
      await client.query('UPDATE big SET v = $1 WHERE id = $2', [`change ${i}`, id]);
      await client.query('INSERT INTO big VALUES ($1, $2)', [ROWS * 2 + i, 'late']);
      if (i % 3 === 0) await client.query('DELETE FROM big WHERE id = $1', [1 + Math.floor(random() * ROWS)]);
      if (i % 5 === 0)
        await client.query('UPDATE big SET id = -$1::bigint WHERE id = $2', [
          i,
          1 + Math.floor(random() * ROWS),
        ]);
      if (i % 7 === 0)
        await client.query('UPDATE big SET id = $1 WHERE id = $2', [
          ROWS * 4 + i,
          1 + Math.floor(random() * 1000),
        ]);
      await client.query('INSERT INTO small VALUES ($1, $2)', [i + 1, 'late']);
    }
  })();
  return async () => {
    stop = true;
    await run;
    await client.end();
  };
}

async function expectWhole({ database, lake, holders }: World): Promise<void> {
  const named = lake.manifests().flatMap(({ files }) => files.map(({ key }) => key));
  expect(lake.listed()).toEqual(named.toSorted());
  expect(lake.contradictions('big')).toEqual([]);
  expect(lake.contradictions('small')).toEqual([]);
  const rows = await database.sql('SELECT id::float8 AS id, v FROM big ORDER BY id');
  const replica = [...lake.current('big').values()].map(({ id, v }) => ({ id, v }));
  expect(replica.sort((a, b) => Number(a.id) - Number(b.id))).toEqual(rows);
  const count = await database.sql('SELECT count(*)::int AS n FROM small');
  expect(lake.current('small').size).toBe(count[0]!['n']);
  await expect.poll(holders).toBe(0);
}

test('under the snapshot that another process holds', async () => {
  await using world = await setUp();
  const stop = await writing(world);
  const killed = await world.run({ LONGSHORE_KILL_AT: 'chunk-noted:3' });
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  expect(await world.holders()).toBe(1);
  const again = await world.run();
  expect(again.code, again.stderr).toBe(0);
  expect(again.started?.type === 'load-started' && again.started.chunksKept).toBeGreaterThanOrEqual(3);
  await stop();
  expect((await world.run()).code).toBe(0);
  await expectWhole(world);
  // One place in the log for all.
  expect(new Set(world.lake.manifests()[0]!.tables.map(({ fromLsn }) => fromLsn)).size).toBe(1);
});

test('under another one, by ranges of keys that each have their place in the log', async () => {
  await using world = await setUp();
  const stop = await writing(world);
  expect((await world.run({ LONGSHORE_KILL_AT: 'chunk-noted:3' })).signal).toBe('SIGKILL');
  await world.letGo();
  const second = await world.run({ LONGSHORE_KILL_AT: 'chunk-noted:2' });
  expect(second.signal, second.stderr).toBe('SIGKILL');
  await world.letGo();
  const third = await world.run();
  expect(third.code, third.stderr).toBe(0);
  expect(third.started?.type === 'load-started' && third.started.chunksKept).toBeGreaterThanOrEqual(2);
  await stop();
  expect((await world.run()).code).toBe(0);
  const big = world.lake.manifests()[0]!.tables.find(({ name }) => name === 'big')!;
  expect(new Set(big.keys!.ranges.map(({ fromLsn }) => fromLsn)).size).toBe(2);
  await expectWhole(world);
});

test('a load that nobody goes on with lets the snapshot go', async () => {
  await using world = await setUp();
  const killed = await world.run({ LONGSHORE_KILL_AT: 'chunk-noted:1' }, '--keep-snapshot', '1s');
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  await expect.poll(world.holders, { timeout: 10_000 }).toBe(0);
  const again = await world.run();
  expect(again.code, again.stderr).toBe(0);
  await expectWhole(world);
});
