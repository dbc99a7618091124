/** Keys under a prefix, over as many pages as there are. */

import { LongshoreError } from '../errors.ts';
import type { DeleteRequest, ListedObject, ObjectStore } from './object-store.ts';

/** In the order of the store. @throws the errors of the store */
export async function* listKeys(
  store: ObjectStore,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<string> {
  for await (const { key } of listObjects(store, prefix, signal)) yield key;
}

/** The same, with what a listing says of each. */
export async function* listObjects(
  store: ObjectStore,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<ListedObject> {
  for (let startAfter: string | undefined; ; ) {
    const page = await store.list({ prefix, startAfter }, signal);
    yield* page.objects;
    startAfter = page.objects.at(-1)?.key;
    if (!page.more || startAfter === undefined) return;
  }
}

/** The same as {@link deleteObjects}, whatever the objects are. */
export function deleteKeys(store: ObjectStore, keys: readonly string[], signal?: AbortSignal): Promise<void> {
  return deleteObjects(
    store,
    keys.map((key) => ({ key })),
    signal,
  );
}

/**
 * Deletes objects, whether they are there or not; one with another ETag than is named stays.
 * @throws STORE_DENIED, OBJECT_FAILED for the first one that cannot be deleted
 */
export async function deleteObjects(
  store: ObjectStore,
  requests: readonly DeleteRequest[],
  signal?: AbortSignal,
): Promise<void> {
  for (let at = 0; at < requests.length; at += KEYS_AT_ONCE) {
    const some = requests.slice(at, at + KEYS_AT_ONCE);
    const outcomes = await store.delete(some, signal);
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.kind !== 'failed') continue;
      const denied = outcome.code === 'AccessDenied';
      throw new LongshoreError(
        denied ? 'STORE_DENIED' : 'OBJECT_FAILED',
        `cannot delete ${store.name}/${some[i]!.key}: ${outcome.code} (${outcome.message})`,
        denied ? { hint: `allow s3:DeleteObject on ${store.bucket} to these credentials` } : {},
      );
    }
  }
}

const KEYS_AT_ONCE = 1000;
