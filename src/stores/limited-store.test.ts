import { expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { LongshoreError } from '../errors.ts';
import { AdaptiveLimiter } from '../flow/adaptive-limiter.ts';
import { RateLimiter } from '../flow/rate-limiter.ts';
import { LimitedStore } from './limited-store.ts';
import type { ObjectStore } from './object-store.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A store whose calls wait until they are let go. */
function held() {
  const waiting: (() => void)[] = [];
  const started: string[] = [];
  const call = (name: string) => () => {
    started.push(name);
    return new Promise((resolve) => waiting.push(() => resolve(undefined)));
  };
  const inner = { head: call('head'), delete: call('delete'), put: call('put') } as unknown as ObjectStore;
  return { inner, started, waiting };
}

test('no more calls run at once than the level allows; the others follow', async () => {
  const { inner, started, waiting } = held();
  const clock = new ManualClock();
  const concurrency = new AdaptiveLimiter({ clock, start: 3, max: 3 });
  const store = new LimitedStore(inner, { concurrency });
  const all = Promise.all(Array.from({ length: 10 }, () => store.head('a')));
  for (let done = 0; done < 10; done++) {
    await settle();
    expect(started.length).toBe(Math.min(10, done + 3));
    expect(concurrency.running).toBeLessThanOrEqual(3);
    waiting.shift()!();
  }
  await all;
  expect(concurrency.running).toBe(0);
});

test('each key of a deletion counts as a request, each byte of a put as a byte', async () => {
  const { inner, started, waiting } = held();
  const clock = new ManualClock(1_000_000);
  const store = new LimitedStore(inner, {
    concurrency: new AdaptiveLimiter({ clock, start: 9, max: 9 }),
    requests: new RateLimiter(10, clock),
    bytes: new RateLimiter(1_000, clock),
  });
  const body = Buffer.alloc(1_500);
  const work = [
    store.delete(Array.from({ length: 10 }, (_, i) => ({ key: String(i) }))),
    store.put({ key: 'a', body, sizeBytes: 1_500, attributes: { metadata: {} }, ifAbsent: true }),
    store.head('a'),
  ];
  await settle();
  // The burst of a second is spent by the ten deletions.
  expect(started).toEqual(['delete']);
  expect(clock.waits).toEqual([100, 200]);
  await clock.advance(200);
  expect(started).toEqual(['delete', 'head']);
  expect(clock.waits.slice(2)).toEqual([500]);
  await clock.advance(500);
  expect(started).toEqual(['delete', 'head', 'put']);
  for (const release of waiting) release();
  await Promise.all(work);
});

test('SlowDown lowers the level, other errors do not, and every place is given back', async () => {
  const clock = new ManualClock();
  const concurrency = new AdaptiveLimiter({ clock, start: 8, max: 8 });
  const failing = (code: 'STORE_DENIED' | 'STORE_SLOW_DOWN') =>
    new LimitedStore(
      { head: async () => Promise.reject(new LongshoreError(code, code)) } as unknown as ObjectStore,
      {
        concurrency,
      },
    );
  await expect(failing('STORE_DENIED').head('a')).rejects.toMatchObject({ code: 'STORE_DENIED' });
  expect(concurrency.level).toBe(8);
  await expect(failing('STORE_SLOW_DOWN').head('a')).rejects.toMatchObject({ code: 'STORE_SLOW_DOWN' });
  expect(concurrency.level).toBe(4);
  expect(concurrency.running).toBe(0);
});

test('a call that was cancelled while it waited for its turn gives its place back', async () => {
  const clock = new ManualClock(1_000_000);
  const concurrency = new AdaptiveLimiter({ clock, start: 1, max: 1 });
  const store = new LimitedStore(held().inner, { concurrency, requests: new RateLimiter(0.1, clock) });
  const controller = new AbortController();
  const reason = new Error('enough');
  const waiting = store.head('a', controller.signal);
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  expect(concurrency.running).toBe(0);
});
