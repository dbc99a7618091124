/**
 * A matrix of kills: SIGKILL at every step of a shard and at random moments, under traffic; after each kill no row
 * names a missing object, and the run that is resumed at the end is as if it had never been killed.
 */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allKeys, danglingRows } from './observer.ts';
import { seededRandom, startTraffic } from './traffic.ts';
import { createWorld, moveArgs, runProgram, type World } from './world.ts';

const POINTS = [
  'laying-out:1',
  'before-copy:1',
  'object-copied:1',
  'object-copied:137',
  'after-copy:1',
  'after-proof:1',
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

/** Random moments: a few by default; the soak sets 200. */
const RANDOM_KILLS = Number(process.env['LONGSHORE_RANDOM_KILLS'] ?? 12);

describe('killed at any step', () => {
  let world: World;
  beforeAll(async () => {
    world = await createWorld(600);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test('a killed move goes on, no reader misses an object, nothing is lost', async () => {
    const seed = Number(process.env['LONGSHORE_SEED'] ?? 42);
    const random = seededRandom(seed);
    const traffic = startTraffic(world, random);
    const args = moveArgs(world, '--delete', '1s', '--orphans', 'report', '--json');
    for (const point of POINTS) {
      const result = await runProgram(world, args, { LONGSHORE_KILL_AT: point });
      // A point that traffic moved out of reach lets the run end by itself.
      expect(result.signal === 'SIGKILL' || result.code === 0 || result.code === 1, result.stderr).toBe(true);
      expect(await danglingRows(world), `after ${point}, seed ${seed}`).toEqual([]);
    }
    for (let i = 0; i < RANDOM_KILLS; i++) {
      const afterMs = 100 + Math.floor(random() * 1500);
      const result = await runProgram(world, args, {}, (kill) => setTimeout(() => kill('SIGKILL'), afterMs));
      expect(result.signal === 'SIGKILL' || result.code === 0 || result.code === 1, result.stderr).toBe(true);
      expect(await danglingRows(world), `kill ${i} after ${afterMs} ms, seed ${seed}`).toEqual([]);
    }
    const seen = await traffic.stop();
    expect(seen.missing).toEqual([]);
    expect(seen.reads).toBeGreaterThan(100);

    const last = await runProgram(world, args);
    expect(last.code, last.stderr).toBe(0);
    expect(await danglingRows(world)).toEqual([]);
    const { rows } = await world.pool.query<{ n: string }>(
      "SELECT count(*) AS n FROM avatars WHERE path LIKE 'image/%'",
    );
    expect(rows[0]!.n).toBe('0');
    await contentsAreTheLastOnes(world, seen.contents);
    // What is left in the source is named by no row: rows that were deleted, and rows that took another picture.
    const left = await allKeys(world.legacy, 'image/');
    const summary = JSON.parse(last.stdout) as { left: { objects: { orphan: number } } };
    expect(left.size).toBe(summary.left.objects.orphan);
  });
});

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
