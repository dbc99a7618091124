import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { LongshoreError } from '../errors.ts';
import { systemClock } from '../flow/clock.ts';
import { Journal } from './journal.ts';
import { LocalEngine, type StageOptions } from './local-engine.ts';

let folder: string;
let journal: Journal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-engine-'));
  journal = Journal.open(folder, 'move', 'write');
  return () => {
    journal[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  };
});

const never = new AbortController().signal;

function engine() {
  return new LocalEngine(journal, systemClock, { attemptsMax: 3, baseMs: 1, waitMsMax: 1 });
}

function stage(
  execute: StageOptions<number, string>['execute'],
  more: Partial<StageOptions<number, string>> = {},
): StageOptions<number, string> {
  return { stage: 'copy', pass: 1, concurrency: 2, execute, ...more };
}

const done = (n: number) => ({ outcome: `did ${n}`, details: [{ n }] });

test('runs what is open, at most so many at once, and nothing twice', async () => {
  journal.addShards('copy', 1, [1, 2, 3, 4, 5]);
  let running = 0;
  let most = 0;
  const seen: number[] = [];
  const options = stage(async (n) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    seen.push(n);
    return done(n);
  });
  expect(await engine().run(options, never)).toEqual({ done: 5, failed: 0 });
  expect(await engine().run(options, never)).toEqual({ done: 0, failed: 0 });
  expect(seen.sort()).toEqual([1, 2, 3, 4, 5]);
  expect(most).toBe(2);
  expect([...journal.finished()].map(({ outcome }) => outcome).sort()).toContain('did 3');
});

test('tries again what may pass, records what does not, and goes on with the others', async () => {
  journal.addShards('copy', 1, [1, 2, 3]);
  const attempts = new Map<number, number>();
  const failed: unknown[] = [];
  const options = stage(
    async (n) => {
      const attempt = (attempts.get(n) ?? 0) + 1;
      attempts.set(n, attempt);
      if (n === 1 && attempt < 3) throw new LongshoreError('STORE_SLOW_DOWN', 'slow down');
      if (n === 2) throw new LongshoreError('OBJECT_FAILED', 'refused');
      return done(n);
    },
    { onFailed: (error) => failed.push(error) },
  );
  expect(await engine().run(options, never)).toEqual({ done: 2, failed: 1 });
  expect(attempts).toEqual(
    new Map([
      [1, 3],
      [2, 1],
      [3, 1],
    ]),
  );
  expect(failed).toHaveLength(1);
  expect(journal.counts('copy', 1)).toEqual({ open: 0, done: 2, failed: 1 });
  // The next call has another look at what failed.
  expect(
    await engine().run(
      stage(async (n) => done(n)),
      never,
    ),
  ).toEqual({ done: 1, failed: 0 });
});

test('a bug, and a check that every shard would fail, end the run and leave the shard open', async () => {
  for (const error of [new TypeError('x is undefined'), new LongshoreError('CHECK_FAILED', 'no')]) {
    journal.addShards('copy', 1, [1]);
    const failing = stage(async () => {
      throw error;
    });
    await expect(engine().run(failing, never)).rejects.toBe(error);
    expect(journal.counts('copy', 1).open).toBeGreaterThan(0);
  }
});

test('stops when asked to, with what is finished recorded', async () => {
  journal.addShards('copy', 1, [1, 2, 3, 4, 5, 6]);
  const stop = new AbortController();
  const options = stage(async (n, _shard, signal) => {
    if (n === 3) stop.abort(new Error('stopped by SIGINT'));
    if (n > 3) signal.throwIfAborted();
    return done(n);
  });
  await expect(engine().run(options, stop.signal)).rejects.toThrow('SIGINT');
  const { open, done: finished, failed } = journal.counts('copy', 1);
  expect(failed).toBe(0);
  expect(finished).toBeGreaterThanOrEqual(2);
  expect(open + finished).toBe(6);
});
