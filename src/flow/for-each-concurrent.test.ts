import { describe, expect, test } from 'vitest';
import { forEachConcurrent, mapConcurrent } from './for-each-concurrent.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Numbers without end that count how many were asked for, and whether they were given up. */
function endless() {
  const seen = { started: 0, closed: false };
  const items = (async function* () {
    try {
      for (;;) yield seen.started++;
    } finally {
      seen.closed = true;
    }
  })();
  return { seen, items };
}

describe('forEachConcurrent', () => {
  test.each([1, 4, 16])('a consumer that stops stops the producer (limit %i)', async (limit) => {
    const { seen, items } = endless();
    let consumed = 0;
    void forEachConcurrent(items, limit, async () => {
      if (consumed === 10) return new Promise(() => undefined);
      consumed++;
      await settle();
    });
    for (let i = 0; i < 100; i++) await settle();
    expect(consumed).toBe(10);
    expect(seen.started).toBeLessThanOrEqual(10 + limit);
  });

  test('never more at once than the limit, and each item once', async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await forEachConcurrent(
      Array.from({ length: 50 }, (_, i) => i),
      7,
      async (item) => {
        most = Math.max(most, ++running);
        await settle();
        running--;
        done.push(item);
      },
    );
    expect(most).toBe(7);
    expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });

  test('after an error nothing more is taken, what runs is waited for, the producer is closed', async () => {
    const { seen, items } = endless();
    let running = 0;
    const work = forEachConcurrent(items, 4, async (item) => {
      running++;
      await settle();
      running--;
      if (item === 10) throw new Error('full');
    });
    await expect(work).rejects.toThrow('full');
    expect(running).toBe(0);
    expect(seen.closed).toBe(true);
    const { started } = seen;
    expect(started).toBeLessThanOrEqual(10 + 4 + 1);
    await settle();
    expect(seen.started).toBe(started);
  });

  test('an error of the producer is thrown', async () => {
    const items = (async function* () {
      yield 1;
      throw new Error('source');
    })();
    await expect(forEachConcurrent(items, 4, settle as () => Promise<void>)).rejects.toThrow('source');
  });

  test('nothing to do is done', async () => {
    await forEachConcurrent([], 4, () => Promise.reject(new Error('never')));
  });
});

describe('mapConcurrent', () => {
  test('results stand in the order of the items', async () => {
    const results = await mapConcurrent([3, 1, 2], 2, async (item, index) => {
      for (let i = 0; i < item; i++) await settle();
      return `${index}:${item}`;
    });
    expect(results).toEqual(['0:3', '1:1', '2:2']);
  });

  test('after an error nothing more is started, and what runs is waited for', async () => {
    let started = 0;
    let running = 0;
    const work = mapConcurrent(Array.from({ length: 100 }), 4, async (_, index) => {
      started++;
      running++;
      await settle();
      running--;
      if (index === 10) throw new Error('full');
    });
    await expect(work).rejects.toThrow('full');
    expect(running).toBe(0);
    expect(started).toBeLessThanOrEqual(10 + 4 + 1);
  });
});
