import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HastyClock, ManualClock } from '../../test/fakes/manual-clock.ts';
import { RateLimiter } from './rate-limiter.ts';

test('a second’s worth passes at once, then one after another', async () => {
  const clock = new ManualClock(1_000_000);
  const limiter = new RateLimiter(4, clock);
  for (let i = 0; i < 4; i++) expect(limiter.take(1)).toBeUndefined();
  const fifth = limiter.take(1);
  const sixth = limiter.take(1);
  expect(clock.waits).toEqual([250, 500]);
  await clock.advance(500);
  await Promise.all([fifth, sixth]);
});

test('what was not used is kept for a second and no longer', async () => {
  const clock = new ManualClock(1_000_000);
  const limiter = new RateLimiter(10, clock);
  await clock.advance(3_600_000);
  expect(limiter.take(10)).toBeUndefined();
  expect(limiter.take(1)).toBeDefined();
});

test('over any run, no more passes than the rate and the burst allow', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 1_000 }),
      fc.array(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 400 })), {
        minLength: 1,
      }),
      async (perSecond, work) => {
        const start = 5_000_000;
        const clock = new HastyClock(start);
        const limiter = new RateLimiter(perSecond, clock);
        let passed = 0;
        for (const [units, pauseMs] of work) {
          await limiter.take(units);
          passed += units;
          expect(passed).toBeLessThanOrEqual(perSecond + ((clock.now() - start) / 1_000) * perSecond + 1e-6);
          await clock.advance(pauseMs);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('a signal ends the wait', async () => {
  const limiter = new RateLimiter(1, new ManualClock(1_000_000));
  const controller = new AbortController();
  const reason = new Error('enough');
  const waiting = limiter.take(10, controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});
