import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keySetStore } from '../../test/fakes/key-set-store.ts';
import { compareKeys } from './key-order.ts';
import { type ListedSpan, listParallel, listSpanPages } from './list-parallel.ts';

const part = fc.string({ unit: fc.constantFrom(...'ab-/~A é日～😀'), minLength: 0, maxLength: 6 });
const anyKey = fc.oneof(part, fc.string({ unit: 'binary', maxLength: 4 }));

describe('every key once', () => {
  test('for any keys, lanes, page sizes and split points', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyKey, { maxLength: 60 }),
        fc.constantFrom('', 'a', 'é/'),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(anyKey, { maxLength: 6 }),
        async (names, prefix, lanes, pageKeysMax, splits) => {
          const keys = [...names.map((name) => prefix + name), ...names].filter((key) => key !== '');
          const splitPoints = [...splits.map((split) => prefix + split), ...splits];
          const spans: ListedSpan[] = [];
          const options = { prefix, lanes, pageKeysMax, splitPoints };
          await listParallel(keySetStore(keys), options, (span) => {
            spans.push(span);
          });
          expectWhole(spans, [...new Set(keys)].filter((key) => key.startsWith(prefix)).sort(compareKeys));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('of a million-key shape: one flat prefix, numbered', async () => {
    const keys = numbered(20_000);
    const spans: ListedSpan[] = [];
    await listParallel(keySetStore(keys, 100), { prefix: 'image/', lanes: 16 }, (span) => {
      spans.push(span);
    });
    expectWhole(spans, keys);
  });
});

describe('idle lanes', () => {
  test.each([
    ['numbered', numbered(20_000)],
    ['hexadecimal', Array.from({ length: 20_000 }, (_, i) => `image/${scrambled(i)}.png`)],
    [
      'dated',
      Array.from({ length: 20_000 }, (_, i) => `image/2024/${String(1 + (i % 12)).padStart(2, '0')}/${i}`),
    ],
    ['deep', numbered(20_000).map((key) => `image/tenants/production/eu-west-1/uploaded/${key}`)],
  ])('take a share of one flat prefix: %s keys', async (_, keys) => {
    const store = keySetStore(keys, 100);
    await listParallel(store, { prefix: 'image/', lanes: 16 }, () => undefined);
    expect(store.listsAtOnce).toBeGreaterThanOrEqual(8);
    // 200 pages hold the keys; wrong guesses cost requests, and must not cost many.
    expect(store.lists).toBeLessThan(350);
  });

  test('with split points, lists run at once from the start', async () => {
    const keys = numbered(2_000);
    const store = keySetStore(keys, 100);
    const splitPoints = keys.filter((_, i) => i % 100 === 99);
    await listParallel(store, { prefix: 'image/', lanes: 16, splitPoints }, () => undefined);
    expect(store.listsAtOnce).toBe(16);
    expect(store.lists).toBeLessThanOrEqual(2 * 21);
  });
});

describe('limits', () => {
  test('at most as many spans are handed over at once as there are lanes', async () => {
    let running = 0;
    let most = 0;
    await listParallel(keySetStore(numbered(3_000), 50), { prefix: '', lanes: 4 }, async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
    });
    expect(most).toBeLessThanOrEqual(4);
  });

  test('an error of the store, or of who takes the spans, ends it', async () => {
    const store = keySetStore(numbered(3_000), 50);
    let spans = 0;
    const failing = listParallel(store, { prefix: '', lanes: 4 }, () => {
      if (++spans === 10) throw new Error('full');
    });
    await expect(failing).rejects.toThrow('full');
    const lists = store.lists;
    expect(spans).toBeLessThanOrEqual(10 + 4);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(store.lists).toBe(lists);
  });

  test('a signal ends it with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const options = { prefix: '', lanes: 4, signal: controller.signal };
    const listing = listParallel(keySetStore(numbered(3_000), 50), options, () => controller.abort(reason));
    await expect(listing).rejects.toBe(reason);
  });
});

test('the pages of a span hold its keys and no others', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyKey, { maxLength: 40 }),
      fc.option(anyKey, { nil: undefined }),
      fc.option(anyKey, { nil: undefined }),
      fc.integer({ min: 1, max: 5 }),
      async (names, after, upTo, pageKeysMax) => {
        const keys = names.filter((key) => key !== '');
        const found: string[] = [];
        for await (const page of listSpanPages(keySetStore(keys, pageKeysMax), '', { after, upTo })) {
          expect(page).not.toEqual([]);
          found.push(...page.map((object) => object.key));
        }
        const wanted = [...new Set(keys)].filter(
          (key) =>
            (after === undefined || compareKeys(key, after) > 0) &&
            (upTo === undefined || compareKeys(key, upTo) <= 0),
        );
        expect(found).toEqual(wanted.sort(compareKeys));
      },
    ),
  );
});

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `image/avatar-${String(i).padStart(8, '0')}.png`);
}

function scrambled(i: number): string {
  return (Math.imul(i + 1, 2_654_435_761) >>> 0).toString(16).padStart(8, '0');
}

/** The spans cover all there is: no gap, no overlap, each key in the one that it belongs to. */
function expectWhole(spans: readonly ListedSpan[], keys: readonly string[]): void {
  const sorted = spans.toSorted((a, b) => compareKeys(a.after ?? '', b.after ?? ''));
  expect(sorted[0]?.after).toBeUndefined();
  expect(sorted.at(-1)?.upTo).toBeUndefined();
  for (const [i, span] of sorted.entries()) {
    if (i > 0) expect(span.after).toBe(sorted[i - 1]!.upTo);
    for (const { key } of span.objects) {
      expect(span.after === undefined || compareKeys(key, span.after) > 0).toBe(true);
      expect(span.upTo === undefined || compareKeys(key, span.upTo) <= 0).toBe(true);
    }
  }
  expect(sorted.flatMap((span) => span.objects.map((object) => object.key))).toEqual(keys);
}
