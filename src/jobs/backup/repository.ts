/**
 * A bucket of backups as its own catalogue: what is in it is read from the manifests alone, so that a machine that knows
 * the URL knows all. What Longshore notes for itself lies below `_longshore/backup/`.
 */

import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import { messageOf } from '../../errors.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import { listObjects } from '../../stores/list-keys.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import {
  type BackupManifest,
  baseOf,
  DRILL_EXTENSION,
  decodeManifest,
  MANIFEST_EXTENSION,
} from './manifest.ts';

/** Below the prefix of the job. */
export const NOTES_PREFIX = '_longshore/backup/';

export interface BackupPlace {
  readonly store: ObjectStore;
  /** Of the job; ends with a slash, or is empty. */
  readonly prefix: string;
}

export interface StoredBackup {
  readonly manifest: BackupManifest;
  /** Of the manifest, below the prefix. */
  readonly manifestKey: string;
  /** Of the manifest. */
  readonly etag: string;
  /** Keys of its files that are not there, or are of another size. */
  readonly missing: readonly string[];
  /** Whether the record of a drill lies beside it. */
  readonly drilled: boolean;
}

export interface BackupCatalogue {
  /** From the oldest to the newest. */
  readonly backups: readonly StoredBackup[];
  /** What was looked like a manifest and is none that this program can read, each as a sentence. */
  readonly unreadable: readonly string[];
  /** Where jobs have backups that lie below the prefix too, or that it is a folder of: each as a URL. */
  readonly elsewhere: readonly string[];
}

/** Manifests that are fetched at the same time. */
const FETCHES = 16;

/** Whatever Longshore did not write below the prefix is passed over. @throws the errors of the store */
export async function readCatalogue(place: BackupPlace, signal?: AbortSignal): Promise<BackupCatalogue> {
  const { store, prefix } = place;
  const sizes = new Map<string, number>();
  for await (const { key, sizeBytes } of listObjects(store, prefix, signal))
    sizes.set(key.slice(prefix.length), sizeBytes);
  const unreadable: string[] = [];
  const elsewhere = new Set<string>();
  const keys = [...sizes.keys()].filter((key) => key.endsWith(MANIFEST_EXTENSION));
  const found = await mapConcurrent(keys, FETCHES, async (manifestKey): Promise<StoredBackup | undefined> => {
    const object = await readObject(place, manifestKey, signal);
    if (object === undefined) return undefined;
    const name = `${store.name}/${prefix}${manifestKey}`;
    const text = object.body.toString('utf8');
    const { manifest, problem } = decoded(text, name);
    // One of another job, whose prefix begins with this one, names its files in its own way.
    const key = manifest?.key ?? keyIn(text);
    if (key !== undefined && !isBeside(key, manifestKey)) {
      const base = baseOf(prefix + manifestKey);
      const own = ownBase(base, key);
      if (own !== undefined) elsewhere.add(`${store.name}/${base.slice(0, base.length - own.length)}`);
      return undefined;
    }
    if (manifest === undefined) {
      unreadable.push(problem);
      return undefined;
    }
    const missing = manifest.files.filter(({ key, bytes }) => sizes.get(key) !== bytes).map(({ key }) => key);
    const drilled = sizes.has(baseOf(manifestKey) + DRILL_EXTENSION);
    return { manifest, manifestKey, etag: object.etag, missing, drilled };
  });
  return {
    backups: found
      .filter((backup) => backup !== undefined)
      .sort((one, other) => (one.manifest.takenAt < other.manifest.takenAt ? -1 : 1)),
    unreadable,
    elsewhere: [...elsewhere].sort(),
  };
}

/** Whether a key is the manifest's own, with another extension or in a folder of that name. */
export function isBeside(key: string, manifestKey: string): boolean {
  const base = baseOf(manifestKey);
  return key.startsWith(base) && /^(\/|\.|$)/.test(key.slice(base.length));
}

/**
 * Whether a key is one that the manifest may name: what is read from the bucket, where others may write too, is not taken
 * at its word.
 */
export function isOwn(key: string, manifestKey: string): boolean {
  const parts = key.split('/');
  return (
    isBeside(key, manifestKey) &&
    !key.endsWith(MANIFEST_EXTENSION) &&
    !parts.some((part) => part === '' || part === '.' || part === '..')
  );
}

const named = z.object({ key: z.string() });

/** The end of the base of a manifest that a key below its job's prefix begins with; what is before it is that prefix. */
export function ownBase(base: string, key: string): string | undefined {
  for (let at = 0; at >= 0; at = base.indexOf('/', at) + 1 || -1) {
    const own = base.slice(at);
    if (key.startsWith(own) && /^[./]/.test(key.slice(own.length))) return own;
  }
  return undefined;
}

type Decoded =
  | { readonly manifest: BackupManifest; readonly problem?: undefined }
  | { readonly manifest?: undefined; readonly problem: string };

function decoded(text: string, name: string): Decoded {
  try {
    return { manifest: decodeManifest(text, name) };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

/** The key that a manifest names which cannot be read otherwise: of another version of Longshore. */
function keyIn(text: string): string | undefined {
  try {
    return named.safeParse(JSON.parse(text)).data?.key;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A small object, whole; undefined where there is none. @param key below the prefix */
export async function readObject(
  { store, prefix }: BackupPlace,
  key: string,
  signal?: AbortSignal,
): Promise<{ readonly body: Buffer; readonly etag: string } | undefined> {
  const opened = await store.get({ key: prefix + key }, signal);
  return opened === undefined ? undefined : { body: await buffer(opened.body), etag: opened.head.etag };
}

/**
 * Puts a small object where nothing is. Where an answer was lost, the next attempt finds what the first one has put.
 *
 * @param key below the prefix
 * @returns its ETag; undefined where somebody else has the key
 */
export async function putNew(
  place: BackupPlace,
  key: string,
  { body, contentType }: { readonly body: Buffer; readonly contentType: string },
  signal?: AbortSignal,
): Promise<string | undefined> {
  const { store, prefix } = place;
  const attributes = { contentType, metadata: {} };
  const outcome = await store.put(
    { key: prefix + key, body, sizeBytes: body.byteLength, attributes, ifAbsent: true },
    signal,
  );
  if (outcome.kind === 'copied') return outcome.etag;
  const there = await readObject(place, key, signal);
  return there?.body.equals(body) === true ? there.etag : undefined;
}
