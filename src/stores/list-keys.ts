/** Keys under a prefix, over as many pages as there are. */

import { LongshoreError } from '../errors.ts';
import type { ObjectStore } from './object-store.ts';

/** In the order of the store. @throws the errors of the store */
export async function* listKeys(
  store: ObjectStore,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<string> {
  for (let startAfter: string | undefined; ; ) {
    const page = await store.list({ prefix, startAfter }, signal);
    for (const { key } of page.objects) yield key;
    startAfter = page.objects.at(-1)?.key;
    if (!page.more || startAfter === undefined) return;
  }
}

/**
 * Deletes objects, whether they are there or not.
 * @throws STORE_DENIED, OBJECT_FAILED for the first one that stays
 */
export async function deleteKeys(
  store: ObjectStore,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
    const some = keys.slice(at, at + KEYS_AT_ONCE);
    const outcomes = await store.delete(
      some.map((key) => ({ key })),
      signal,
    );
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.kind !== 'failed') continue;
      const denied = outcome.code === 'AccessDenied';
      throw new LongshoreError(
        denied ? 'STORE_DENIED' : 'OBJECT_FAILED',
        `cannot delete ${store.name}/${some[i]}: ${outcome.code} (${outcome.message})`,
        denied ? { hint: `allow s3:DeleteObject on ${store.bucket} to these credentials` } : {},
      );
    }
  }
}

const KEYS_AT_ONCE = 1000;
