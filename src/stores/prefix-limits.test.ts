import { expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { LongshoreError } from '../errors.ts';
import { AdaptiveLimiter } from '../flow/adaptive-limiter.ts';
import { LimitedStore } from './limited-store.ts';
import type { ObjectStore } from './object-store.ts';
import { PrefixLimits } from './prefix-limits.ts';

/** A store that refuses what `refuses` says, under limits that start at `level`. */
function setUp(level: number, refuses: (key: string) => boolean) {
  const clock = new ManualClock();
  const concurrency = new AdaptiveLimiter({ clock, start: level, max: level });
  const prefixes = new PrefixLimits(clock, concurrency);
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  const inner = {
    head: async (key: string) => {
      const prefix = key.slice(0, key.lastIndexOf('/') + 1);
      const now = (running.get(prefix) ?? 0) + 1;
      running.set(prefix, now);
      most.set(prefix, Math.max(most.get(prefix) ?? 0, now));
      await new Promise((resolve) => setImmediate(resolve));
      running.set(prefix, running.get(prefix)! - 1);
      if (refuses(key)) throw new LongshoreError('STORE_SLOW_DOWN', 'slow down');
      return undefined;
    },
  } as unknown as ObjectStore;
  const store = new LimitedStore(inner, { concurrency, prefixes });
  const head = (...keys: string[]) => Promise.allSettled(keys.map((key) => store.head(key)));
  return { clock, concurrency, prefixes, head, most };
}

const keys = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

test('a prefix that is refused while another is served backs off alone', async () => {
  const { concurrency, prefixes, head, most } = setUp(16, (key) => key.startsWith('hot/'));
  await head('cold/1');
  await head('hot/1', 'cold/2');
  expect(concurrency.level).toBe(16);
  expect(concurrency.refusals).toBe(0);
  expect(prefixes.of('hot/2')?.level).toBe(8);
  expect(prefixes.of('cold/2')).toBeUndefined();
  most.clear();
  await head(...keys('hot/', 40), ...keys('cold/', 40));
  expect(most.get('hot/')).toBeLessThanOrEqual(8);
});

test('the only prefix in use is the store', async () => {
  const { concurrency, prefixes, head } = setUp(16, (key) => key === 'a/refused');
  await head('a/1', 'a/refused');
  expect(concurrency.level).toBe(8);
  expect(prefixes.of('a/1')).toBeUndefined();
});

test('many prefixes at once are the store', async () => {
  let refusing = false;
  const { concurrency, prefixes, head } = setUp(16, (key) => refusing && !key.startsWith('a/'));
  await head('a/1');
  refusing = true;
  await head('b/1', 'c/1', 'd/1');
  expect(concurrency.level).toBe(16);
  await head('e/1');
  expect(concurrency.level).toBe(8);
  expect(prefixes.of('b/1')).toBeUndefined();
});

test('a prefix that was not refused for a minute is like the others', async () => {
  let refusing = true;
  const { clock, concurrency, prefixes, head } = setUp(16, (key) => refusing && key.startsWith('hot/'));
  await head('cold/1');
  await head('hot/1');
  expect(prefixes.of('hot/1')).toBeDefined();
  refusing = false;
  await clock.advance(59_000);
  await head('hot/1');
  expect(prefixes.of('hot/1')).toBeDefined();
  await clock.advance(2_000);
  await head('hot/1');
  expect(prefixes.of('hot/1')).toBeUndefined();
  expect(concurrency.level).toBe(16);
  expect(concurrency.running).toBe(0);
});
