/** Fetches what an inventory consists of: the manifest as text, and its files, whole or not at all. */

import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { formatStoreUrl, parseStoreUrl } from '../../config/store-url.ts';
import { isRetryable, LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import { type RetryPolicy, withRetry } from '../../flow/retry.ts';
import type { ObjectStore } from '../../stores/object-store.ts';

export interface FetchedFile {
  readonly key: string;
  readonly sizeBytes: number;
  /** Undefined of a list that no manifest vouches for. */
  readonly md5: string | undefined;
}

/** Reads again what broke off, and once more what arrived damaged: that may have happened on the way. */
export function withReads<T>(
  work: () => Promise<T>,
  { retry, clock }: { readonly retry: RetryPolicy; readonly clock: Clock },
  signal: AbortSignal,
): Promise<T> {
  let again = true;
  return withRetry(work, retry, {
    clock,
    signal,
    shouldRetry: (error) => {
      if (isRetryable(error)) return true;
      const once = again && error instanceof LongshoreError && error.context['damaged'] === true;
      if (once) again = false;
      return once;
    },
  });
}

/**
 * The text of a manifest.
 * @throws CONFIG_INVALID where there is none, CHECK_FAILED where it is not whole
 */
export async function fetchText(
  store: ObjectStore,
  file: { readonly key: string; readonly sizeBytes: number },
  url: string,
  signal: AbortSignal,
): Promise<string> {
  const opened = await store.get({ key: file.key }, signal);
  if (opened === undefined) throw notFound(url);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of opened.body as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch (error) {
    throw brokenOff(file.key, error, signal);
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.byteLength !== file.sizeBytes) throw notWhole(url, bytes.byteLength, file.sizeBytes);
  return bytes.toString('utf8');
}

/**
 * Puts a file of the inventory at `path`.
 * @throws STORE_UNAVAILABLE where the connection breaks; CHECK_FAILED where it is gone, or not the one that is listed
 */
export async function fetchFile(
  store: ObjectStore,
  file: FetchedFile,
  url: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const opened = await openFile(store, file.key, url, signal);
  const md5 = createHash('md5');
  let bytes = 0;
  try {
    await pipeline(
      opened,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          bytes += chunk.byteLength;
          md5.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(path),
      { signal },
    );
  } catch (error) {
    throw brokenOff(file.key, error, signal);
  }
  if (file.md5 === undefined) {
    if (bytes !== file.sizeBytes) throw notWhole(file.key, bytes, file.sizeBytes);
  } else if (md5.digest('hex') !== file.md5) {
    throw new LongshoreError('CHECK_FAILED', `${file.key} does not have the MD5 that ${url} says`, {
      hint: 'take a newer inventory, or leave it, and the bucket is listed',
      context: { damaged: true },
    });
  }
}

export function notFound(url: string): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', `${formatStoreUrl(parseStoreUrl(url))} does not exist`, {
    hint: 'give the URL of the manifest.json that S3 Inventory wrote; the first one takes up to 48 hours',
  });
}

/** A file of the inventory; of one that was copied into a folder, also beside its manifest. */
async function openFile(
  store: ObjectStore,
  key: string,
  url: string,
  signal: AbortSignal,
): Promise<Readable> {
  const beside = join(dirname(parseStoreUrl(url).prefix), basename(key));
  for (const candidate of store.kind === 'files' ? [key, beside] : [key]) {
    const opened = await store.get({ key: candidate }, signal);
    if (opened !== undefined) return opened.body;
  }
  throw new LongshoreError('CHECK_FAILED', `${url} names the file ${key}, which does not exist`, {
    hint: 'a lifecycle rule may have removed it: take a newer inventory',
  });
}

function brokenOff(key: string, error: unknown, signal: AbortSignal): unknown {
  signal.throwIfAborted();
  if (error instanceof LongshoreError) return error;
  return new LongshoreError('STORE_UNAVAILABLE', `the connection broke while ${key} was read`, {
    cause: error,
  });
}

function notWhole(name: string, bytes: number, expected: number): LongshoreError {
  return new LongshoreError(
    'CHECK_FAILED',
    `${name} has ${expected} bytes, and ${bytes} were read: it is written at this time, or what answers is broken`,
    { hint: 'run again', context: { damaged: true } },
  );
}
