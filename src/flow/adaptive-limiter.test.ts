import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/fakes/manual-clock.ts';
import { AdaptiveLimiter } from './adaptive-limiter.ts';

/** Keeps the limiter saturated while the other side serves at most `perSecond`, at the speed of `latencyMs` a request. */
async function run(
  limiter: AdaptiveLimiter,
  clock: ManualClock,
  side: { latencyMs: number; parallelMax: number },
  forMs: number,
): Promise<number[]> {
  const levels: number[] = [];
  let inFlight = 0;
  const start = (): void => {
    const place = limiter.acquire();
    if (place === undefined) inFlight++;
    else void place.then(() => inFlight++);
  };
  for (let i = 0; i < limiter.level + 200; i++) start();
  const steps = forMs / side.latencyMs;
  for (let step = 0; step < steps; step++) {
    await clock.advance(side.latencyMs);
    const served = Math.min(inFlight, side.parallelMax);
    for (let i = 0; i < served; i++) {
      inFlight--;
      limiter.release('done');
      start();
    }
    await clock.advance(0);
    levels.push(limiter.level);
  }
  return levels;
}

describe('the level', () => {
  test('climbs while more brings more, and stays near what the other side can take', async () => {
    const clock = new ManualClock();
    const limiter = new AdaptiveLimiter({ clock, start: 8, max: 256 });
    const levels = await run(limiter, clock, { latencyMs: 20, parallelMax: 64 }, 20_000);
    expect(Math.max(...levels)).toBeGreaterThanOrEqual(64);
    const settled = levels.slice(levels.length / 2);
    expect(Math.min(...settled)).toBeGreaterThanOrEqual(40);
    expect(Math.max(...settled)).toBeLessThan(256);
  });

  test('does not climb while places are free', async () => {
    const clock = new ManualClock();
    const limiter = new AdaptiveLimiter({ clock, start: 8, max: 256 });
    for (let i = 0; i < 500; i++) {
      expect(limiter.acquire()).toBeUndefined();
      await clock.advance(10);
      limiter.release('done');
    }
    expect(limiter.level).toBe(8);
  });

  test('never leaves its bounds', async () => {
    const clock = new ManualClock();
    const limiter = new AdaptiveLimiter({ clock, start: 99, max: 20 });
    expect(limiter.level).toBe(20);
    await run(limiter, clock, { latencyMs: 10, parallelMax: 1_000 }, 2_000);
    expect(limiter.level).toBe(20);
  });

  test('stays where it is pinned', async () => {
    const clock = new ManualClock();
    const limiter = new AdaptiveLimiter({ clock, start: 8, max: 256, pinned: 5 });
    limiter.acquire();
    limiter.release('refused');
    await run(limiter, clock, { latencyMs: 10, parallelMax: 1_000 }, 2_000);
    expect(limiter.level).toBe(5);
    expect(limiter.refusals).toBe(1);
  });
});

describe('a refusal', () => {
  function refuse(limiter: AdaptiveLimiter): void {
    limiter.acquire();
    limiter.release('refused');
  }

  test('halves at once, and once for a whole burst', async () => {
    const clock = new ManualClock();
    const limiter = new AdaptiveLimiter({ clock, start: 64, max: 256 });
    for (let i = 0; i < 30; i++) {
      refuse(limiter);
      await clock.advance(10);
    }
    expect(limiter.level).toBe(32);
    expect(limiter.refusals).toBe(30);
    await clock.advance(500);
    refuse(limiter);
    expect(limiter.level).toBe(16);
  });

  test('never brings it under one', async () => {
    const clock = new ManualClock();
    const limiter = new AdaptiveLimiter({ clock, start: 8, max: 256 });
    for (let i = 0; i < 20; i++) {
      refuse(limiter);
      await clock.advance(1_000);
      expect(limiter.level).toBeGreaterThanOrEqual(1);
    }
    expect(limiter.level).toBe(1);
    expect(limiter.acquire()).toBeUndefined();
  });

  test('is followed by small steps up', async () => {
    const clock = new ManualClock();
    const limiter = new AdaptiveLimiter({ clock, start: 64, max: 256 });
    refuse(limiter);
    const levels = await run(limiter, clock, { latencyMs: 20, parallelMax: 1_000 }, 2_000);
    for (const [i, level] of levels.entries()) {
      if (i > 0) expect(level - levels[i - 1]!).toBeLessThanOrEqual(1);
    }
    expect(limiter.level).toBeGreaterThan(32);
  });
});

test('whoever waits is let in, in turn, and every place is given back', async () => {
  const limiter = new AdaptiveLimiter({ clock: new ManualClock(), start: 2, max: 2 });
  const order: number[] = [];
  const enter = async (i: number): Promise<void> => {
    await limiter.acquire();
    order.push(i);
    await new Promise((resolve) => setImmediate(resolve));
    limiter.release('done');
  };
  await Promise.all(Array.from({ length: 5_000 }, (_, i) => enter(i)));
  expect(order).toEqual(Array.from({ length: 5_000 }, (_, i) => i));
  expect(limiter.running).toBe(0);
});
