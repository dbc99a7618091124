/**
 * A replication that is killed at every step of landing an epoch, and at random moments, while programs write: the files
 * that a reader lists hold every committed change once, in order, and the tables as they are.
 */

import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { audit } from '../worlds/audit.ts';
import { AUDITED_SCHEMA, EverydayWriter, LargeWriter } from '../worlds/audited-writer.ts';
import { ReplicateWorld } from './replicate-world.ts';
import { seededRandom } from './traffic.ts';

const POINTS = [
  'files-complete:1',
  'pending-written:1',
  'file-uploaded:1',
  'file-uploaded:2',
  'manifest-written:1',
  'confirmed:1',
];
/** A few by default; LONGSHORE_RANDOM_KILLS=60 for the whole of it. */
const RANDOM_KILLS = Number(process.env['LONGSHORE_RANDOM_KILLS'] ?? 6);
const TRANSACTIONS_A_KILL = 200;
const SEED = Number(process.env['LONGSHORE_SEED'] ?? 42);

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const setUp = () =>
  ReplicateWorld.create(server, 'kill', AUDITED_SCHEMA, ['--tables', 'public.*', '--every', '100ms']);

async function expectWhole({ lake, database, temporary }: ReplicateWorld) {
  const found = await audit(lake, database);
  expect(found.problems).toEqual([]);
  // What those that were killed had on the disk is gone with the last one.
  expect(readdirSync(temporary)).toEqual([]);
  return found;
}

async function write(writer: EverydayWriter | LargeWriter, transactions: number): Promise<void> {
  for (let i = 0; i < transactions; i++) await writer.transaction();
}

test.each(
  POINTS.flatMap(
    (point) =>
      [
        [point, 'and more is written', 20],
        [point, 'and nothing more is written', 0],
      ] as const,
  ),
)('killed at %s, %s', async (point, _, more) => {
  await using world = await setUp();
  await using writer = await EverydayWriter.open(world.database.url, seededRandom(SEED));
  expect((await world.catchUp()).code).toBe(0);
  await write(writer, 40);
  const killed = await world.catchUp({ LONGSHORE_KILL_AT: point });
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  await write(writer, more);
  const last = await world.catchUp();
  expect(last.code, last.stderr).toBe(0);
  await expectWhole(world);
});

test.each(['chunk-uploaded:1', 'chunk-uploaded:2', 'chunk-noted:1', 'chunk-noted:3'])(
  'killed at %s, in the full load',
  async (point) => {
    await using world = await setUp();
    await using writer = await EverydayWriter.open(world.database.url, seededRandom(SEED));
    await write(writer, 5);
    const killed = await world.catchUp({ LONGSHORE_KILL_AT: point });
    expect(killed.signal, killed.stderr).toBe('SIGKILL');
    await write(writer, 20);
    const again = await world.catchUp();
    expect(again.code, again.stderr).toBe(0);
    await write(writer, 5);
    expect((await world.catchUp()).code).toBe(0);
    await expectWhole(world);
  },
);

test(`killed at ${RANDOM_KILLS} random moments while programs write`, async () => {
  await using world = await setUp();
  const random = seededRandom(SEED);
  await using everyday = await EverydayWriter.open(world.database.url, seededRandom(SEED + 1));
  await using large = await LargeWriter.open(world.database.url, seededRandom(SEED + 2));
  let stop = false;
  // So many of each between two kills: a slow machine must not be left behind for ever.
  let next = Promise.withResolvers<void>();
  const writing = Promise.all(
    [everyday, large].map(async (writer) => {
      while (!stop) {
        const go = next.promise;
        for (let i = 0; i < TRANSACTIONS_A_KILL && !stop; i++) await writer.transaction();
        await go;
      }
    }),
  );
  const writeOn = (): void => {
    next.resolve();
    next = Promise.withResolvers();
  };
  let kills = 0;
  let following = 0;
  try {
    for (let tries = 0; kills < RANDOM_KILLS && tries < 3 * RANDOM_KILLS; tries++) {
      // Some die while they start, or load; some while they catch up, and some while they land one epoch after another.
      writeOn();
      const phase = random();
      const afterMs = Math.floor(random() * 1200);
      const result = await world.follow((kill, onOutput) => {
        const later = () => void setTimeout(() => kill('SIGKILL'), afterMs);
        if (phase < 0.2) later();
        else onOutput(phase < 0.6 ? '"type":"following"' : '"type":"epoch-landed"', later);
      });
      if (result.signal === 'SIGKILL') kills++;
      // The server may not have noticed yet that the one before is gone.
      else expect(result.stderr).toMatch(/another process/);
      if (result.stderr.includes('"type":"epoch-landed"')) following++;
    }
  } finally {
    stop = true;
    writeOn();
    await writing;
  }
  expect(kills).toBe(RANDOM_KILLS);
  const last = await world.catchUp();
  expect(last.code, last.stderr).toBe(0);
  const found = await expectWhole(world);
  console.info(`seed ${SEED}: ${kills} kills, ${following} of them after an epoch was landed`, found);
});

test('killed while it landed, and a table came meanwhile: the epoch is landed as it was begun', async () => {
  await using world = await setUp();
  await using writer = await EverydayWriter.open(world.database.url, seededRandom(SEED));
  expect((await world.catchUp()).code).toBe(0);
  await write(writer, 40);
  const killed = await world.catchUp({ LONGSHORE_KILL_AT: 'file-uploaded:1' });
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  await write(writer, 20);
  await world.database.sql('CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)');
  const last = await world.catchUp();
  expect(last.code, last.stderr).toBe(0);
  expect(world.lake.current('late').size).toBe(1);
  await expectWhole(world);
});
