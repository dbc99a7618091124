/** The part of the object stores' contract that is about keys and their listings. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compareKeys } from './key-order.ts';
import type { ContractContext, Exclusion } from './object-store.contract.ts';
import type { ObjectStore } from './object-store.ts';

/** Keys of every kind that was ever lost by a tool, each beside its neighbours in some wrong order. */
export const HOSTILE_KEYS: readonly string[] = [
  'plain.png',
  'with space.png',
  'plus+sign.png',
  'percent%.png',
  'percent%20encoded.png',
  ...Array.from('&?#;=@:"\'<>*|\\^`{}[]~!$(),', (c) => `special${c}.png`),
  'é-nfc.png'.normalize('NFC'),
  'é-nfc.png'.normalize('NFD'),
  'case.png',
  'CASE.png',
  'Case.png',
  '日本語.png',
  'wide-～.png',
  'wide-😀.png',
  '~after-the-tilde.png',
  '\u{10ffff}-last.png',
  '\uffee-late.png',
  'a-b',
  'a.b',
  'a/b',
  'a0b',
  'a',
  'a/',
  'dir/',
  'dir/inside',
  'two//slashes',
  './dot',
  'x/../dot-dot',
  'x/./dot',
  '/leading',
  'trailing/',
  '...',
  '.hidden',
  'control-\u0001.png',
  'control-\u001f.png',
  'tab-\t.png',
  'newline-\n.png',
  'return-\r.png',
  'delete-\u007f.png',
  'c1-\u0085.png',
  'separator-\u2028.png',
  'noncharacter-\uffff.png',
  'bom-\ufeff.png',
  `segment-${'s'.repeat(255 - 8)}`,
  `segments/${Array.from({ length: 5 }, () => 'p'.repeat(150)).join('/')}`,
];

const LONGEST_KEY_BYTES = 1024;

export function describeListings(context: ContractContext): void {
  const { expects, newPrefix, put, read } = context;

  it('holds keys of every kind and lists them in the order of their bytes', async () => {
    const prefix = newPrefix();
    const longest = (fill: string): string =>
      fill.repeat(LONGEST_KEY_BYTES).slice(0, LONGEST_KEY_BYTES - prefix.length);
    const all = [...HOSTILE_KEYS, longest('k'), longest('folder/'.padEnd(100, 'n')).replace(/\/$/, 'e')];
    const keys = holdable(
      all.map((key) => prefix + key),
      expects.exclusions,
    );
    for (const key of keys) expect(await put(key, `bytes of ${key}`), key).toMatchObject({ kind: 'copied' });
    for (const key of keys) {
      expect(String(await read(key)), key).toBe(`bytes of ${key}`);
      expect((await context.store.head(key))?.key, key).toBe(key);
    }
    await expectListings(context.store, prefix, keys, [1, 3, 1000]);
    for (const key of keys) {
      const copy = await context.store.copyFrom(context.store, {
        sourceKey: key,
        targetKey: `${prefix}copied.png`,
        ifAbsent: false,
        keep: { tags: false },
      });
      expect(copy, key).toMatchObject({ kind: 'copied' });
      expect(String(await read(`${prefix}copied.png`)), key).toBe(`bytes of ${key}`);
    }
    const outcomes = await context.store.delete([...keys, `${prefix}copied.png`].map((key) => ({ key })));
    expect(outcomes.filter((outcome) => outcome.kind !== 'deleted')).toEqual([]);
    expect((await context.store.list({ prefix })).objects).toEqual([]);
  });

  it('keeps 42 bytes under a key that ends in a slash', async () => {
    const key = `${newPrefix()}dir/`;
    if (isExcluded(key, new Set(), expects.exclusions)) return;
    await put(key, 'x'.repeat(42));
    const { objects } = await context.store.list({ prefix: key });
    // A store that keeps such keys as folders keeps no bytes; losing them in silence is what must not be.
    expect(objects).toMatchObject([{ key, sizeBytes: 42 }]);
    expect((await read(key))?.byteLength).toBe(42);
  });

  it.runIf(expects.refusesExcluded)('refuses a key it cannot hold, and has nothing under it', async () => {
    const prefix = newPrefix();
    const refused = HOSTILE_KEYS.map((key) => prefix + key).filter((key) =>
      isExcluded(key, new Set(), expects.exclusions),
    );
    for (const key of refused) {
      await expect(put(key, 'x'), key).rejects.toMatchObject({ code: 'OBJECT_FAILED' });
      expect(await context.store.head(key), key).toBeUndefined();
      expect(await context.store.get({ key }), key).toBeUndefined();
      expect(await context.store.delete([{ key }]), key).toEqual([{ kind: 'deleted' }]);
    }
    expect((await context.store.list({ prefix })).objects).toEqual([]);
  });

  it('lists arbitrary keys whole, on pages of any size, from any key on', async () => {
    const part = fc.string({ unit: fc.constantFrom(...'ab-./0~A é日～😀%+'), minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(part, { minLength: 1, maxLength: 14 }),
        fc.integer({ min: 1, max: 6 }),
        part,
        async (names, limit, from) => {
          const prefix = newPrefix();
          const keys = holdable(
            names.map((name) => prefix + name),
            expects.exclusions,
          );
          await Promise.all(keys.map((key) => put(key, key)));
          await expectListings(context.store, prefix, keys, [limit]);
          const startAfter = prefix + from;
          const after = await listAll(context.store, { prefix, startAfter, limit });
          expect(after).toEqual(keys.filter((key) => compareKeys(key, startAfter) > 0));
          const within = prefix + Array.from(from).slice(0, 2).join('');
          const inside = await listAll(context.store, { prefix: within, limit });
          expect(inside).toEqual(keys.filter((key) => key.startsWith(within)));
          await context.store.delete(keys.map((key) => ({ key })));
        },
      ),
      { numRuns: 20 },
    );
  });

  it('lists nothing where there is nothing', async () => {
    const prefix = newPrefix();
    await put(`${prefix}a`);
    const nothing = { objects: [], more: false };
    expect(await context.store.list({ prefix: `${prefix}b` })).toEqual(nothing);
    expect(await context.store.list({ prefix: `${prefix}b/c/d` })).toEqual(nothing);
    expect(await context.store.list({ prefix, startAfter: `${prefix}a` })).toEqual(nothing);
    expect(await context.store.list({ prefix, startAfter: `${prefix}\u{10ffff}` })).toEqual(nothing);
    const before = await context.store.list({ prefix, startAfter: 'a' });
    expect(before.objects.map((object) => object.key)).toEqual([`${prefix}a`]);
  });
}

/** Of the keys, in byte order, those that the store can hold beside the others. */
export function holdable(keys: readonly string[], exclusions: readonly Exclusion[]): string[] {
  const kept = new Set<string>();
  for (const key of keys) if (!isExcluded(key, kept, exclusions)) kept.add(key);
  return [...kept].sort(compareKeys);
}

function isExcluded(key: string, kept: ReadonlySet<string>, exclusions: readonly Exclusion[]): boolean {
  return exclusions.some((exclusion) => exclusion.excludes(key, kept));
}

async function expectListings(
  store: ObjectStore,
  prefix: string,
  keys: readonly string[],
  limits: readonly number[],
): Promise<void> {
  for (const limit of limits) expect(await listAll(store, { prefix, limit })).toEqual(keys);
}

async function listAll(
  store: ObjectStore,
  request: { prefix: string; startAfter?: string; limit: number },
): Promise<string[]> {
  const keys: string[] = [];
  let startAfter = request.startAfter;
  for (;;) {
    const page = await store.list({ ...request, startAfter });
    expect(page.objects.length).toBeLessThanOrEqual(request.limit);
    keys.push(...page.objects.map((object) => object.key));
    if (!page.more) return keys;
    expect(page.objects).not.toEqual([]);
    startAfter = keys.at(-1);
  }
}
