/**
 * A matrix of kills: SIGKILL at every step of a shard, and at random moments under traffic; after each kill no row
 * names a missing object, and the run that goes on ends as if it had never been killed.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { versitygwAvailable } from '../servers/versitygw.ts';
import { allKeys, danglingRows } from './observer.ts';
import { seededRandom, startTraffic } from './traffic.ts';
import { createWorld, moveArgs, runProgram, type World, type WorldOptions } from './world.ts';

/** Named points in the running code, and how often each is passed before the kill. */
const POINTS = [
  'laying-out:1',
  'before-copy:1',
  'object-copied:1',
  'object-copied:37',
  'after-copy:1',
  'after-proof:1',
  'objects-recorded:1',
  'before-commit:1',
  'after-commit:1',
  'after-record:1',
  'after-record:2',
  'after-pass:1',
  'after-schedule:1',
  'before-delete:1',
  'after-delete:1',
  'after-pass:2',
];

/** What is passed too where no index finds the rows and they drive the move. */
const POINTS_OF_ROWS = [
  'object-copied:37',
  'after-proof:1',
  'objects-recorded:1',
  'after-commit:1',
  'after-record:1',
  'after-delete:1',
];
const POINTS_OF_UNDO = ['object-copied:1', 'objects-recorded:1', 'after-commit:1', 'after-delete:1'];

const MATRIX: [string, string, WorldOptions][] = [
  ...POINTS.map((point): [string, string, WorldOptions] => ['', point, {}]),
  ...POINTS_OF_ROWS.map((point): [string, string, WorldOptions] => [
    'driven by rows, ',
    point,
    { indexed: false },
  ]),
  ...(versitygwAvailable() ? ['object-copied:37', 'after-commit:1', 'after-delete:1'] : []).map(
    (point): [string, string, WorldOptions] => ['on versitygw, ', point, { store: 'versitygw' }],
  ),
];

/** Random moments: a few by default; LONGSHORE_RANDOM_KILLS=200 for the whole of it. */
const RANDOM_KILLS = Number(process.env['LONGSHORE_RANDOM_KILLS'] ?? 10);
const SEED = Number(process.env['LONGSHORE_SEED'] ?? 42);

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

describe('killed at every step', () => {
  test.each(MATRIX)('%s%s', async (_, point, options) => {
    await using world = await createWorld(120, server, options);
    const args = moveArgs(world, '--delete', '100ms', '--json');
    const killed = await runProgram(world, args, { LONGSHORE_KILL_AT: point });
    expect(killed.signal, killed.stderr).toBe('SIGKILL');
    expect(await danglingRows(world)).toEqual([]);
    const resumed = await runProgram(world, args);
    expect(resumed.code, resumed.stderr).toBe(0);
    await everythingIsMoved(world, 60);
    const undone = await runProgram(world, ['undo', '--rows', world.rows, '--delete', 'proven']);
    expect(undone.code, undone.stderr).toBe(0);
    expect(await danglingRows(world)).toEqual([]);
    expect((await allKeys(world.legacy, 'image/')).size).toBe(60);
    expect(await rowsLike(world, 'image/%')).toBe(60);
  });
});

describe('an undo', () => {
  test.each(POINTS_OF_UNDO)('killed at %s, then run again', async (point) => {
    await using world = await createWorld(120, server);
    expect((await runProgram(world, moveArgs(world, '--delete', 'proven', '--json'))).code).toBe(0);
    const args = ['undo', '--rows', world.rows, '--delete', 'proven', '--json'];
    const killed = await runProgram(world, args, { LONGSHORE_KILL_AT: point });
    expect(killed.signal, killed.stderr).toBe('SIGKILL');
    expect(await danglingRows(world)).toEqual([]);
    const undone = await runProgram(world, args);
    expect(undone.code, undone.stderr).toBe(0);
    expect(await danglingRows(world)).toEqual([]);
    expect((await allKeys(world.legacy, 'image/')).size).toBe(60);
    expect((await allKeys(world.production, 'avatar/')).size).toBe(60);
    expect(await rowsLike(world, 'image/%')).toBe(60);
  });

  test.each(['object-copied:37', 'after-commit:1'])('of a move that was killed at %s', async (point) => {
    await using world = await createWorld(120, server, { indexed: false });
    await runProgram(world, moveArgs(world, '--json'), { LONGSHORE_KILL_AT: point });
    const undone = await runProgram(world, ['undo', '--rows', world.rows, '--delete', 'proven', '--json']);
    expect(undone.code, undone.stderr).toBe(0);
    expect((await allKeys(world.production, 'avatar/')).size).toBe(60);
    expect(await rowsLike(world, 'image/%')).toBe(60);
  });
});

test(`killed at ${RANDOM_KILLS} random moments under traffic`, async () => {
  await using world = await createWorld(600, server);
  const random = seededRandom(SEED);
  const traffic = startTraffic(world, random);
  const args = moveArgs(world, '--delete', '1s', '--orphans', 'report', '--json');
  let kills = 0;
  for (let i = 0; i < RANDOM_KILLS; i++) {
    const afterMs = 150 + Math.floor(random() * 1500);
    const result = await runProgram(world, args, {}, (kill) => setTimeout(() => kill('SIGKILL'), afterMs));
    if (result.signal === 'SIGKILL') kills++;
    else expect([0, 1], `${result.signal ?? ''} ${result.stderr}`).toContain(result.code);
    expect(await danglingRows(world), `kill ${i} after ${afterMs} ms, seed ${SEED}`).toEqual([]);
  }
  expect(kills).toBeGreaterThan(RANDOM_KILLS / 2);
  const seen = await traffic.stop();
  expect(seen.missing).toEqual([]);
  expect(seen.reads).toBeGreaterThan(100);

  const last = await runProgram(world, args);
  expect(last.code, last.stderr).toBe(0);
  expect(await danglingRows(world)).toEqual([]);
  expect(await rowsLike(world, 'image/%')).toBe(0);
  await contentsAreTheLastOnes(world, seen.contents);
  // What is left in the source no row names: its row was deleted, or took another picture.
  const summary = JSON.parse(last.stdout) as { left: { objects: { orphan: number } } };
  // Markers of killed processes lie there for ten minutes.
  const left = [...(await allKeys(world.legacy, 'image/')).keys()].filter(
    (key) => !key.includes('.longshore-probe-'),
  );
  expect(left).toHaveLength(summary.left.objects.orphan);
});

test('a signal stops the run cleanly, and the same command goes on', async () => {
  await using world = await createWorld(120, server);
  const args = moveArgs(world, '--delete', '1s', '--json');
  const stopped = await runProgram(world, args, {}, (kill, onOutput) =>
    onOutput('"forWhat":"grace"', () => kill('SIGINT')),
  );
  expect(stopped.code, stopped.stderr).toBe(130);
  expect((await allKeys(world.legacy, 'image/')).size).toBe(60);
  const resumed = await runProgram(world, args);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(resumed.stderr).toContain('"resumed":true');
  await everythingIsMoved(world, 60);
});

test('--follow moves what appears until it is stopped', async () => {
  await using world = await createWorld(40, server);
  const args = moveArgs(world, '--delete', 'proven', '--follow', '--json');
  let inserted = false;
  const result = await runProgram(world, args, {}, (kill, onOutput) =>
    onOutput('"forWhat":"traffic"', async () => {
      if (inserted) {
        if ((await rowsLike(world, 'image/%')) === 0) kill('SIGTERM');
        return;
      }
      inserted = true;
      const body = Buffer.from('late');
      await world.legacy.put({
        key: 'image/late.png',
        body,
        sizeBytes: 4,
        attributes: { metadata: {} },
        ifAbsent: false,
      });
      await world.pool.query("INSERT INTO avatars (path) VALUES ('image/late.png')");
    }),
  );
  expect(result.code, result.stderr).toBe(130);
  expect((await world.production.head('avatar/late.png'))?.sizeBytes).toBe(4);
  expect(await rowsLike(world, 'image/%')).toBe(0);
});

async function everythingIsMoved(world: World, objects: number): Promise<void> {
  expect(await danglingRows(world)).toEqual([]);
  expect(await rowsLike(world, 'image/%')).toBe(0);
  expect((await allKeys(world.legacy, 'image/')).size).toBe(0);
  expect((await allKeys(world.production, 'avatar/')).size).toBe(2 * objects);
}

async function rowsLike(world: World, pattern: string): Promise<number> {
  const { rows } = await world.pool.query<{ n: string }>(
    'SELECT count(*) AS n FROM avatars WHERE path LIKE $1',
    [pattern],
  );
  return Number(rows[0]!.n);
}

async function contentsAreTheLastOnes(world: World, contents: ReadonlyMap<number, string>): Promise<void> {
  for (const [id, text] of contents) {
    const { rows } = await world.pool.query<{ path: string }>('SELECT path FROM avatars WHERE id = $1', [id]);
    if (rows[0] === undefined) continue;
    const opened = await world.production.get({ key: rows[0].path });
    expect(opened, rows[0].path).toBeDefined();
    let read = '';
    for await (const chunk of opened!.body) read += String(chunk);
    expect(read).toBe(text);
  }
}
