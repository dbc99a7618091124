/** Brings a file of a replica to the disk. */

import { createHash, type Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { isRetryable, LongshoreError } from '../../errors.ts';
import { diskError } from '../../flow/disk-error.ts';
import { withRetry } from '../../flow/retry.ts';
import type { ManifestFile, ManifestPlace } from './manifest.ts';

/**
 * @throws CHECK_FAILED where the file is gone, RUN_INCOMPLETE where it is another one than was landed; the errors of the
 *   store and the disk
 */
export async function fetchFile(
  { store, prefix }: ManifestPlace,
  { key, sha256 }: Pick<ManifestFile, 'key' | 'sha256'>,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  let begun = false;
  let hash = createHash('sha256');
  const fetch = async (): Promise<void> => {
    begun = false;
    const opened = await store.get({ key: prefix + key }, signal);
    if (opened === undefined)
      throw new LongshoreError('CHECK_FAILED', `${store.name}/${prefix}${key} is gone`, {
        hint: 'restore it, or load its table again with --resync',
      });
    begun = true;
    hash = createHash('sha256');
    try {
      await pipeline(
        opened.body,
        (body) => hashed(body as AsyncIterable<Buffer>, hash),
        createWriteStream(path),
        {
          signal,
        },
      );
    } catch (error) {
      signal.throwIfAborted();
      // What the store throws has a code; the rest is of the disk.
      throw diskError(error, 'write', path);
    }
  };
  // The store itself tries again until there is a body.
  await withRetry(fetch, undefined, { signal, shouldRetry: (error) => begun && isRetryable(error) });
  if (hash.digest('hex') === sha256) return;
  throw new LongshoreError(
    'RUN_INCOMPLETE',
    `${store.name}/${prefix}${key} is not the file that was landed`,
    {
      hint: 'restore it, or load its table again with --resync',
    },
  );
}

async function* hashed(body: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    hash.update(chunk);
    yield chunk;
  }
}
