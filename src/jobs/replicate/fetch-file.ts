/** Brings a file of a replica to the disk. */

import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { LongshoreError } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import type { ManifestPlace } from './manifest.ts';

/** @throws CHECK_FAILED where the file is gone; the errors of the store and the disk */
export async function fetchFile(
  { store, prefix }: ManifestPlace,
  key: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  await withRetry(
    async () => {
      const opened = await store.get({ key: prefix + key }, signal);
      if (opened === undefined)
        throw new LongshoreError('CHECK_FAILED', `${store.name}/${prefix}${key} is gone`, {
          hint: 'restore it, or load its table again with --resync',
        });
      await pipeline(opened.body, createWriteStream(path), { signal });
    },
    undefined,
    { signal },
  );
}
