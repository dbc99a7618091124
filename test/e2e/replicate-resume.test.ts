/**
 * A full load that is killed and gone on with, under the snapshot that another process holds, and under another one
 * where nobody does any more; while a program writes all the time.
 */

import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ReplicateEvent } from '../../src/jobs/replicate/events.ts';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { expectWholeLake } from '../worlds/whole-lake.ts';
import { ReplicateWorld } from './replicate-world.ts';
import { seededRandom } from './traffic.ts';
import type { ProgramResult } from './world.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const ROWS = 500_000;

const setUp = () =>
  ReplicateWorld.create(
    server,
    'resume',
    `CREATE TABLE big (id bigint PRIMARY KEY, v text NOT NULL, pad text);
    INSERT INTO big SELECT i, 'loaded', repeat('x', 120) FROM generate_series(1, ${ROWS}) i;
    CREATE TABLE small (id int PRIMARY KEY, v text NOT NULL); INSERT INTO small VALUES (1, 'one')`,
  );

/** Chunks that a run went on with. */
function chunksKept({ stderr }: ProgramResult): number | undefined {
  const events = stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as ReplicateEvent);
  return events.find((event) => event.type === 'load-started')?.chunksKept;
}

/** The connections of the process that holds the snapshot. */
const holders = ({ name }: ReplicateWorld) =>
  `FROM pg_stat_activity WHERE application_name = 'longshore_${name} snapshot'`;

async function holdersCount(world: ReplicateWorld): Promise<number> {
  return (await world.database.sql(`SELECT pid ${holders(world)}`)).length;
}

/** Ends the process that holds the snapshot. */
async function letGo(world: ReplicateWorld): Promise<void> {
  await world.database.sql(`SELECT pg_terminate_backend(pid) ${holders(world)}`);
}

/** Writes all over the table until it is stopped: also keys that go from one end of it to the other. */
async function writing({ database }: ReplicateWorld): Promise<() => Promise<void>> {
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

async function expectWhole(world: ReplicateWorld): Promise<void> {
  await expectWholeLake(world.lake, world.database, ['big', 'small']);
  expect(world.lake.contradictions('big')).toEqual([]);
  expect(world.lake.contradictions('small')).toEqual([]);
  await expect.poll(() => holdersCount(world)).toBe(0);
}

test('under the snapshot that another process holds', async () => {
  await using world = await setUp();
  const stop = await writing(world);
  const killed = await world.catchUp({ LONGSHORE_KILL_AT: 'chunk-noted:3' });
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  expect(await holdersCount(world)).toBe(1);
  const again = await world.catchUp();
  expect(again.code, again.stderr).toBe(0);
  expect(chunksKept(again)).toBeGreaterThanOrEqual(3);
  await stop();
  expect((await world.catchUp()).code).toBe(0);
  await expectWhole(world);
  // One place in the log for all.
  expect(new Set(world.lake.manifests()[0]!.tables.map(({ fromLsn }) => fromLsn)).size).toBe(1);
});

test('under another one, by ranges of keys that each have their place in the log', async () => {
  await using world = await setUp();
  const stop = await writing(world);
  expect((await world.catchUp({ LONGSHORE_KILL_AT: 'chunk-noted:3' })).signal).toBe('SIGKILL');
  await letGo(world);
  const second = await world.catchUp({ LONGSHORE_KILL_AT: 'chunk-noted:2' });
  expect(second.signal, second.stderr).toBe('SIGKILL');
  await letGo(world);
  const third = await world.catchUp();
  expect(third.code, third.stderr).toBe(0);
  expect(chunksKept(third)).toBeGreaterThanOrEqual(2);
  await stop();
  expect((await world.catchUp()).code).toBe(0);
  const big = world.lake.manifests()[0]!.tables.find(({ name }) => name === 'big')!;
  expect(new Set(big.keys!.ranges.map(({ fromLsn }) => fromLsn)).size).toBe(2);
  await expectWhole(world);
});

test('a load that nobody goes on with lets the snapshot go', async () => {
  await using world = await setUp();
  const killed = await world.catchUp({ LONGSHORE_KILL_AT: 'chunk-noted:1' }, '--keep-snapshot', '1s');
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  await expect.poll(() => holdersCount(world), { timeout: 10_000 }).toBe(0);
  const again = await world.catchUp();
  expect(again.code, again.stderr).toBe(0);
  await expectWhole(world);
});
