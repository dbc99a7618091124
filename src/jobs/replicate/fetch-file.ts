/** Brings a file of a replica to the disk. */

import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { isRetryable, LongshoreError } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import { diskError } from './disk-error.ts';
import type { ManifestPlace } from './manifest.ts';

/** @throws CHECK_FAILED where the file is gone; the errors of the store and the disk */
export async function fetchFile(
  { store, prefix }: ManifestPlace,
  key: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  let begun = false;
  const fetch = async (): Promise<void> => {
    begun = false;
    const opened = await store.get({ key: prefix + key }, signal);
    if (opened === undefined)
      throw new LongshoreError('CHECK_FAILED', `${store.name}/${prefix}${key} is gone`, {
        hint: 'restore it, or load its table again with --resync',
      });
    begun = true;
    try {
      await pipeline(opened.body, createWriteStream(path), { signal });
    } catch (error) {
      signal.throwIfAborted();
      // What the store throws has a code; the rest is of the disk.
      throw diskError(error, 'write', path);
    }
  };
  // The store itself tries again until there is a body.
  await withRetry(fetch, undefined, { signal, shouldRetry: (error) => begun && isRetryable(error) });
}
