/** Finds the backup that a user names: by the key of its dump or of its manifest, or the newest one below a prefix. */

import { parseStoreUrl, type StoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { openStore } from '../../stores/open-store.ts';
import { type BackupManifest, baseOf, decodeManifest, MANIFEST_EXTENSION, manifestKey } from './manifest.ts';
import type { PlaceEnvironment } from './open-place.ts';
import { type BackupPlace, isOwn, ownBase, readCatalogue, readObject } from './repository.ts';

export interface FoundBackup {
  readonly place: BackupPlace;
  readonly manifest: BackupManifest;
  /** Below the prefix, without extension: `2026-11-20/datadump2`. */
  readonly base: string;
}

export interface OpenedBackup extends FoundBackup, AsyncDisposable {}

/**
 * Opens the store that it is in, too.
 * @param from of a backup, or a prefix that ends with a slash for the newest one below it
 * @throws URL_INVALID, CHECK_FAILED
 */
export async function openBackup(from: string, environment: PlaceEnvironment): Promise<OpenedBackup> {
  const { env = process.env, clock = systemClock } = environment;
  const { signal = new AbortController().signal } = environment;
  const url = wholeStoreUrl(parseStoreUrl(from));
  const opened = await openStore(url, { env, clock });
  try {
    const found = await findBackup(opened.store, url.prefix, signal);
    return { ...found, [Symbol.asyncDispose]: async () => await opened[Symbol.asyncDispose]() };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * @param path of the URL in its bucket or folder; one that ends with a slash, or is empty, is a prefix
 * @throws CHECK_FAILED where there is no such backup, or it is not whole
 */
export async function findBackup(
  store: ObjectStore,
  path: string,
  signal: AbortSignal,
): Promise<FoundBackup> {
  const isPrefix = path === '' || path.endsWith('/');
  const named = path === '' ? undefined : await byKey(store, path.replace(/\/+$/, ''), signal);
  if (named !== undefined) return checked(named);
  if (!isPrefix) {
    throw new LongshoreError('CHECK_FAILED', `${store.name}/${path} has no manifest beside it`, {
      hint: 'name a backup as `longshore backup list` does, or a prefix that ends with a slash for the newest one below it',
    });
  }
  const { backups, unreadable, elsewhere } = await readCatalogue({ store, prefix: path }, signal);
  const newest = backups.at(-1);
  if (newest === undefined) {
    const why = unreadable.length === 0 ? '' : `: ${unreadable[0]}`;
    throw new LongshoreError('CHECK_FAILED', `there is no backup below ${store.name}/${path}${why}`, {
      hint:
        elsewhere.length === 0
          ? 'look with `longshore backup list`'
          : `there are some of ${elsewhere.join(', ')}`,
    });
  }
  if (newest.missing.length > 0) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `the newest backup below ${store.name}/${path} is not whole: ${newest.missing[0]} is gone, or of another size`,
      { hint: 'name an older one, as `longshore backup list` shows them' },
    );
  }
  const base = baseOf(newest.manifestKey);
  return checked({ place: { store, prefix: path }, manifest: newest.manifest, base });
}

/** Nothing is read that is not of the backup, whoever wrote its manifest. */
function checked(found: FoundBackup): FoundBackup {
  const { manifest, base, place } = found;
  const foreign = manifest.files.find(({ key }) => !isOwn(key, manifestKey(base)));
  if (foreign === undefined) return found;
  throw new LongshoreError(
    'OBJECT_FAILED',
    `${place.store.name}/${place.prefix}${manifestKey(base)} names ${foreign.key}, which is not its own`,
    { hint: 'somebody else has changed it: restore another backup' },
  );
}

/** Undefined where nothing beside the key is its manifest. */
async function byKey(store: ObjectStore, key: string, signal: AbortSignal): Promise<FoundBackup | undefined> {
  const place = { store, prefix: '' };
  for (const base of basesOf(key)) {
    const object = await readObject(place, manifestKey(base), signal);
    if (object === undefined) continue;
    const manifest = decodeManifest(object.body.toString('utf8'), `${store.name}/${manifestKey(base)}`);
    const own = ownBase(base, manifest.key);
    if (own === undefined) continue;
    const prefix = base.slice(0, base.length - own.length);
    return { place: { store, prefix }, manifest, base: own };
  }
  return undefined;
}

/** `a/datadump2.sql.zst` → `a/datadump2.sql.zst`, `a/datadump2.sql`, `a/datadump2`; a file of the split form → its folder. */
function basesOf(key: string): string[] {
  if (key.endsWith(MANIFEST_EXTENSION)) return [baseOf(key)];
  const bases: string[] = [];
  for (const name of [key, key.slice(0, Math.max(0, key.lastIndexOf('/')))]) {
    const folder = name.slice(0, name.lastIndexOf('/') + 1);
    for (
      let rest = name.slice(folder.length);
      rest !== '';
      rest = rest.slice(0, Math.max(0, rest.lastIndexOf('.')))
    )
      bases.push(folder + rest);
  }
  return bases;
}

/** A key in a folder names that folder, and not the one that keys of the job begin in: that of a file system is its root. */
export function wholeStoreUrl(url: StoreUrl): StoreUrl {
  if (url.kind === 's3') return url;
  return { kind: 'files', folder: '/', prefix: url.folder.slice(1) + url.prefix };
}
