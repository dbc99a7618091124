/** A store of the tests that holds nothing but keys, and counts what it is asked. */

import { compareKeys } from '../../src/stores/key-order.ts';
import type { ListedObject, ListPage, ObjectHead, ObjectStore } from '../../src/stores/object-store.ts';

export interface KeySetStore extends ObjectStore {
  readonly lists: number;
  readonly heads: number;
  /** Listings that answered with nothing. */
  readonly emptyLists: number;
  /** The most listings that found something and were under way at once. */
  readonly listsAtOnce: number;
}

/** @param pageKeysMax the most keys that a page holds, whatever is asked for */
export function keySetStore(keys: readonly string[], pageKeysMax = 1000): KeySetStore {
  const sorted = [...new Set(keys)].sort(compareKeys);
  const has = new Set(sorted);
  let running = 0;
  const store = {
    lists: 0,
    heads: 0,
    emptyLists: 0,
    listsAtOnce: 0,
    async list(request: { prefix: string; startAfter?: string; limit?: number }): Promise<ListPage> {
      store.lists++;
      const { prefix, startAfter = '', limit = 1000 } = request;
      const from = startAfter > '' ? firstAbove(sorted, startAfter) : 0;
      const first = Math.max(from, firstAbove(sorted, prefix, true));
      const found: ListedObject[] = [];
      let more = false;
      for (let at = first; at < sorted.length && sorted[at]!.startsWith(prefix); at++) {
        more = found.length === Math.min(limit, pageKeysMax);
        if (more) break;
        found.push(factsOf(sorted[at]!));
      }
      if (found.length === 0) store.emptyLists++;
      else store.listsAtOnce = Math.max(store.listsAtOnce, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      if (found.length > 0) running--;
      return { objects: found, more };
    },
    async head(key: string): Promise<ObjectHead | undefined> {
      store.heads++;
      if (!has.has(key)) return undefined;
      const { storageClass, ...facts } = factsOf(key);
      return { ...facts, attributes: { metadata: {}, storageClass }, checksums: [] };
    },
  };
  return store as unknown as KeySetStore;
}

function factsOf(key: string): ListedObject {
  return {
    key,
    sizeBytes: key.length,
    etag: `etag of ${key}`,
    lastModifiedMs: 1,
    storageClass: key.length % 2 === 0 ? 'STANDARD' : 'GLACIER',
  };
}

/** The index of the first key after `key`, or at it where told. */
function firstAbove(sorted: readonly string[], key: string, orEqual = false): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const order = compareKeys(sorted[middle]!, key);
    if (order < 0 || (order === 0 && !orEqual)) low = middle + 1;
    else high = middle;
  }
  return low;
}
