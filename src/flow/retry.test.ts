import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HastyClock, ManualClock } from '../../test/fakes/manual-clock.ts';
import { LongshoreError } from '../errors.ts';
import { backoffMs, DEFAULT_RETRY, withRetry } from './retry.ts';

const POLICY = { attemptsMax: 5, baseMs: 100, waitMsMax: 1_000 };
const slowDown = () => new LongshoreError('STORE_SLOW_DOWN', 'slow down');

test('a wait lies between nothing and the doubled base, and never above the cap', () => {
  const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), unit, (attempt, random) => {
      const waitMs = backoffMs(DEFAULT_RETRY, attempt, () => random);
      expect(waitMs).toBeGreaterThanOrEqual(0);
      expect(waitMs).toBeLessThanOrEqual(DEFAULT_RETRY.waitMsMax);
      expect(waitMs).toBeLessThanOrEqual(DEFAULT_RETRY.baseMs * 2 ** (attempt - 1));
    }),
  );
  expect([1, 2, 3, 4, 5, 9].map((attempt) => backoffMs(POLICY, attempt, () => 0.5))).toEqual([
    50, 100, 200, 400, 500, 500,
  ]);
});

describe('an operation', () => {
  test('is tried until it succeeds', async () => {
    const clock = new HastyClock();
    const told: number[] = [];
    const operation = async (attempt: number) => {
      if (attempt < 4) throw slowDown();
      return attempt;
    };
    const hooks = { clock, random: () => 0.5, onRetry: (_: unknown, attempt: number) => told.push(attempt) };
    expect(await withRetry(operation, POLICY, hooks)).toBe(4);
    expect(clock.waits).toEqual([50, 100, 200]);
    expect(told).toEqual([1, 2, 3]);
  });

  test('is given up after so many attempts, with its last error', async () => {
    let attempts = 0;
    const operation = async () => {
      throw new LongshoreError('STORE_TIMEOUT', `attempt ${++attempts}`);
    };
    await expect(withRetry(operation, POLICY, { clock: new HastyClock() })).rejects.toThrow('attempt 5');
  });

  test.each([new LongshoreError('STORE_DENIED', 'no'), new TypeError('a bug')])(
    'is not tried again after %s',
    async (error) => {
      let attempts = 0;
      const operation = async () => {
        attempts++;
        throw error;
      };
      await expect(withRetry(operation, POLICY, { clock: new HastyClock() })).rejects.toBe(error);
      expect(attempts).toBe(1);
    },
  );

  test('stops waiting at a signal, with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const waiting = withRetry(async () => Promise.reject(slowDown()), POLICY, {
      clock: new ManualClock(),
      signal: controller.signal,
    });
    controller.abort(reason);
    await expect(waiting).rejects.toThrow();
  });
});
