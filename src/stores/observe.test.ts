import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keySetStore } from '../../test/fakes/key-set-store.ts';
import { observe } from './observe.ts';

const key = fc.string({ unit: fc.constantFrom(...'ab-/~! é～😀'), minLength: 1, maxLength: 5 });

test('answers what a HEAD of each key would, for dense and sparse keys', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(key, { maxLength: 120 }),
      fc.array(key, { maxLength: 60 }),
      fc.integer({ min: 1, max: 40 }),
      async (held, others, pageKeysMax) => {
        const asked = [...held.slice(0, 80), ...others];
        const found = await observe(keySetStore(held, pageKeysMax), asked, { concurrency: 3 });
        const has = new Set(held);
        expect([...found.keys()].sort()).toEqual([...new Set(asked.filter((one) => has.has(one)))].sort());
        for (const [name, object] of found) {
          expect(object).toEqual({
            key: name,
            sizeBytes: name.length,
            etag: `etag of ${name}`,
            lastModifiedMs: 1,
            storageClass: name.length % 2 === 0 ? 'STANDARD' : 'GLACIER',
          });
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a thousand neighbours cost a request or two', async () => {
  const keys = numbered(10_000);
  const store = keySetStore(keys);
  const asked = keys.slice(4_000, 5_000);
  expect((await observe(store, asked, { concurrency: 8 })).size).toBe(1_000);
  expect(store.lists + store.heads).toBeLessThanOrEqual(2);
});

test('missing keys between neighbours are decided by the same pages', async () => {
  const keys = numbered(3_000);
  const store = keySetStore(keys.filter((_, i) => i % 2 === 0));
  expect((await observe(store, keys, { concurrency: 8 })).size).toBe(1_500);
  expect(store.lists + store.heads).toBeLessThanOrEqual(4);
});

test('scattered keys are asked one by one, and listings are not tried for each', async () => {
  const store = keySetStore(numbered(1_000_000));
  const asked = Array.from({ length: 1_000 }, (_, i) => `image/${String(i * 997).padStart(7, '0')}.png`);
  expect((await observe(store, asked, { concurrency: 8 })).size).toBe(1_000);
  expect(store.heads).toBeLessThanOrEqual(1_000);
  expect(store.lists).toBeLessThanOrEqual(10);
});

test('a few keys are asked without a listing', async () => {
  const store = keySetStore(numbered(100));
  const found = await observe(store, ['image/0000001.png', 'none', 'image/0000001.png'], { concurrency: 8 });
  expect([...found.keys()]).toEqual(['image/0000001.png']);
  expect([store.lists, store.heads]).toEqual([0, 2]);
  expect(await observe(store, [], { concurrency: 8 })).toEqual(new Map());
});

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `image/${String(i).padStart(7, '0')}.png`);
}
