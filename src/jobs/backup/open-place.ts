/** Opens the bucket, or folder, that backups are in. */

import { folderPrefix, parseStoreUrl } from '../../config/store-url.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import { type OpenedStore, type OpenStoreOptions, openStore } from '../../stores/open-store.ts';
import type { BackupPlace } from './repository.ts';

export interface PlaceEnvironment {
  /** Of the store; that of the process where it is left out. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of the store, where it is not as AWS has it. */
  readonly store?: Pick<OpenStoreOptions, 'limits' | 'timeoutMs'> | undefined;
}

export interface OpenedPlace extends BackupPlace, AsyncDisposable {
  makeBucket: OpenedStore['makeBucket'];
}

/** @param to `s3://bucket/prefix/` or `file:///folder/` @throws URL_INVALID */
export async function openPlace(
  to: string,
  { env = process.env, clock = systemClock, store }: PlaceEnvironment,
): Promise<OpenedPlace> {
  const url = parseStoreUrl(to);
  const opened = await openStore(url, { ...store, env, clock });
  return {
    store: opened.store,
    prefix: folderPrefix(url.prefix),
    makeBucket: opened.makeBucket,
    [Symbol.asyncDispose]: async () => await opened[Symbol.asyncDispose](),
  };
}
