/**
 * Facts about many keys at the least cost: where the keys asked for lie close together in the bucket one listing
 * answers a thousand of them, where they are scattered each is asked by itself.
 */

import { mapConcurrent } from '../flow/for-each-concurrent.ts';
import { compareKeys, keyBefore } from './key-order.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';

/**
 * @param keys in any order, duplicates allowed
 * @returns a map with an entry for every key that exists
 */
export async function observe(
  store: ObjectStore,
  keys: readonly string[],
  options: { readonly concurrency: number; readonly signal?: AbortSignal | undefined },
): Promise<Map<string, ListedObject>> {
  const { concurrency, signal } = options;
  const wanted = [...new Set(keys)].sort(compareKeys);
  const found = new Map<string, ListedObject>();
  const prefix = commonPrefix(wanted.at(0) ?? '', wanted.at(-1) ?? '');
  let at = 0;
  while (at < wanted.length) {
    const rest = wanted.length - at;
    if (rest < WORTH_A_LISTING) break;
    const covered = await observeByPage(store, prefix, wanted, at, found, signal);
    at += covered;
    if (covered >= WORTH_A_LISTING) continue;
    // Scattered here: ask for some one by one, then look whether a listing pays again.
    const few = wanted.slice(at, at + ONE_BY_ONE);
    await observeOneByOne(store, few, found, concurrency, signal);
    at += few.length;
  }
  await observeOneByOne(store, wanted.slice(at), found, concurrency, signal);
  return found;
}

/** What the first and the last of sorted keys share, all keys between them share too. */
function commonPrefix(first: string, last: string): string {
  let length = 0;
  while (length < first.length && first[length] === last[length]) length++;
  // Not between the two halves of a surrogate pair.
  if (/[\ud800-\udbff]/.test(first[length - 1] ?? '')) length--;
  return first.slice(0, length);
}

/** A listing costs the store and us about as much as so many HEADs. */
const WORTH_A_LISTING = 16;
const ONE_BY_ONE = 256;

/** Lists one page from `wanted[at]` on. @returns how many of the wanted keys the page decides */
async function observeByPage(
  store: ObjectStore,
  prefix: string,
  wanted: readonly string[],
  at: number,
  found: Map<string, ListedObject>,
  signal: AbortSignal | undefined,
): Promise<number> {
  const page = await store.list({ prefix, startAfter: keyBefore(wanted[at]!) }, signal);
  const end = page.objects.at(-1)?.key;
  let index = at;
  let next = 0;
  for (; index < wanted.length; index++) {
    const key = wanted[index]!;
    if (page.more && end !== undefined && compareKeys(key, end) > 0) break;
    while (next < page.objects.length && compareKeys(page.objects[next]!.key, key) < 0) next++;
    const object = page.objects[next];
    if (object?.key === key) found.set(key, object);
  }
  return index - at;
}

async function observeOneByOne(
  store: ObjectStore,
  keys: readonly string[],
  found: Map<string, ListedObject>,
  concurrency: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  await mapConcurrent(keys, concurrency, async (key) => {
    const head = await store.head(key, signal);
    if (head === undefined) return;
    found.set(key, {
      key,
      sizeBytes: head.sizeBytes,
      etag: head.etag,
      lastModifiedMs: head.lastModifiedMs,
      storageClass: head.attributes.storageClass ?? 'STANDARD',
    });
  });
}
