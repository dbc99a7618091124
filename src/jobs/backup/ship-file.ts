/**
 * Ships a whole file of a shared folder into a bucket, and deletes it when what lies there is proven.
 *
 * Steps, and what a crash after each leaves: the file is taken out of the way of its writer, under a hidden name beside it
 * (the next run finds it there and ships it first) → its hidden name says under which key it will be (the same) → it is put
 * there, where nothing is (the next run sees by the name that it is there) → size, checksum and ETag are read back → its
 * manifest is put beside it (the next run finds both there) → it is deleted.
 */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { LongshoreError, messageOf } from '../../errors.ts';
import { isAlive } from '../../flow/is-alive.ts';
import type { ObjectHead, ObjectStore } from '../../stores/object-store.ts';
import { keysOfDay } from './claim.ts';
import { type KeyTemplate, keyOf, nextIndex } from './dated-keys.ts';
import type { BackupPlace } from './repository.ts';
import type { RunMoment } from './run-moment.ts';
import { putFileManifest } from './ship-manifest.ts';
import { isUnchanged, statOf, type WholeFile } from './waiting-file.ts';

export interface ShipTarget extends BackupPlace {
  readonly template: KeyTemplate;
  readonly moment: RunMoment;
}

export interface ShippedFile {
  readonly key: string;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** As many others may take the next number first. */
const ATTEMPTS_MAX = 1000;

/** Out of the way of its writer, under a hidden name. */
export interface TakenFile extends WholeFile {
  /** Under which it may be in the bucket already. */
  readonly key: string | undefined;
  /** The process that has it, where it is another one that may be alive. */
  readonly heldBy?: string | undefined;
}

/**
 * @param file as it was found, or taken by a process that died
 * @param path under which its writer left it; says which extension it has
 * @returns undefined where somebody else took it first
 * @throws OBJECT_FAILED where it was changed meanwhile, with nothing of it in the bucket and the file where it was
 */
export async function shipFile(
  file: WholeFile | TakenFile,
  path: string,
  target: ShipTarget,
  signal: AbortSignal,
): Promise<ShippedFile | undefined> {
  const first = await take('key' in file ? file : { ...file, key: undefined }, path);
  if (first === undefined) return undefined;
  let taken = first;
  const begunMs = performance.now();
  const sha256 = await hashOf(taken.path, signal);
  const isOurs = (head: ObjectHead | undefined): head is ObjectHead =>
    head?.sizeBytes === taken.bytes && head.attributes.metadata['sha256'] === sha256;
  const extension = extensionOf(path);
  for await (const key of keysFor(taken, target, extension, signal)) {
    const named = await take({ ...taken, key }, path);
    if (named === undefined) return undefined;
    taken = named;
    const head = await put(taken, sha256, isOurs, target.store, signal);
    if (head === undefined) continue;
    if (!(await isUnchanged(taken))) {
      await target.store.delete([{ key, etag: head.etag }], signal);
      await giveBack(taken, path);
      throw new LongshoreError('OBJECT_FAILED', `${path} was written to while it was uploaded`, {
        hint: 'it stays where it is, and is taken when it is whole',
      });
    }
    // Of what a process that died has put there, the time of the object is the nearest that is known.
    const takenAtMs = key === first.key ? head.lastModifiedMs : target.moment.atMs;
    const shipped = { key, extension, bytes: taken.bytes, sha256, takenAtMs };
    if (await putFileManifest(shipped, target, performance.now() - begunMs, signal)) {
      await rm(taken.path);
      return { key, bytes: taken.bytes, sha256 };
    }
    // A dump that began at the same time has this number: its manifest stands here.
    await target.store.delete([{ key, etag: head.etag }], signal);
  }
  throw noNumber(target);
}

const TAKEN = '.shipping';

/** Files that a process that died had taken, the oldest first. */
export async function takenFiles(path: string): Promise<TakenFile[]> {
  const folder = dirname(path);
  const found: TakenFile[] = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`.${basename(path)}.`) || !name.endsWith(TAKEN)) continue;
    const [holder = '', , key] = name.slice(basename(path).length + 2, -TAKEN.length).split('.');
    const stats = await statOf(join(folder, name));
    // Whoever has it is done with it at this moment.
    if (stats === undefined) continue;
    found.push({
      path: join(folder, name),
      bytes: stats.size,
      ino: stats.ino,
      modifiedMs: stats.mtimeMs,
      key: key === undefined ? undefined : Buffer.from(key, 'base64url').toString(),
      heldBy: otherHolder(holder),
    });
  }
  return found.sort((one, other) => one.modifiedMs - other.modifiedMs);
}

/** Host and process. */
const HOLDER = `${Buffer.from(hostname()).toString('base64url')}-${process.pid}`;

/** Undefined for a process that is gone, or was of this number: it ships one file at a time. */
function otherHolder(holder: string): string | undefined {
  const [, host, pid] = /^(.*)-(\d+)$/.exec(holder) ?? [];
  if (holder === HOLDER || pid === undefined) return undefined;
  const name = Buffer.from(host!, 'base64url').toString();
  if (name === hostname() && !isAlive(Number(pid))) return undefined;
  return `process ${pid} of ${name}`;
}

/** Gives it the hidden name that says what is known of it; from the first one on its writer may write the next file. */
async function take(file: TakenFile, path: string): Promise<TakenFile | undefined> {
  const key = file.key === undefined ? '' : `.${Buffer.from(file.key).toString('base64url')}`;
  const name = `.${basename(path)}.${HOLDER}.${file.ino}-${Math.floor(file.modifiedMs)}${key}${TAKEN}`;
  const hidden = join(dirname(path), name);
  try {
    await rename(file.path, hidden);
    return { ...file, path: hidden };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new LongshoreError('OBJECT_FAILED', `cannot take ${file.path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'let the user of Longshore write in the folder: a file is renamed before it is uploaded, and deleted afterwards',
    });
  }
}

/** Where its writer has written another one meanwhile it stays under its hidden name, and is shipped before that. */
async function giveBack(taken: WholeFile, path: string): Promise<void> {
  try {
    await link(taken.path, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  await rm(taken.path);
}

/** `.sql`, `.sql.gz` */
function extensionOf(path: string): string {
  return /(?:\.[A-Za-z][A-Za-z0-9]*)+$/.exec(basename(path))?.[0] ?? '';
}

async function hashOf(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/**
 * Keys of the day that nothing has, the next one each time. What a process that died was about to put comes under the same
 * key again: it may be there, and its request may reach the store yet.
 */
async function* keysFor(
  taken: TakenFile,
  target: ShipTarget,
  extension: string,
  signal: AbortSignal,
): AsyncGenerator<string> {
  if (taken.key !== undefined) yield taken.key;
  const { template, moment } = target;
  for (let attempt = 0, tried = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const keys = await keysOfDay(target, template, moment, signal);
    // A number that was just refused may not be listed yet.
    tried = Math.max(nextIndex(template, moment, keys), tried + 1);
    yield target.prefix + keyOf(template, moment, tried, extension);
  }
}

/** @returns what the store says is there, which is the file; undefined where somebody else has the key */
async function put(
  { path, bytes, key }: TakenFile,
  sha256: string,
  isOurs: (head: ObjectHead | undefined) => head is ObjectHead,
  store: ObjectStore,
  signal: AbortSignal,
): Promise<ObjectHead | undefined> {
  const attributes = { contentType: 'application/octet-stream', metadata: { sha256 } };
  const request = { key: key!, body: { path }, sizeBytes: bytes, attributes, ifAbsent: true };
  const outcome = await store.put(request, signal);
  const head = await store.head(key!, signal);
  if (outcome.kind !== 'copied') return isOurs(head) ? head : undefined;
  if (isOurs(head) && head.etag === outcome.etag) return head;
  throw new LongshoreError('OBJECT_FAILED', `${store.name}/${key} is not what was put there`, {
    hint: 'the local file stays; look who else writes below this prefix',
  });
}

function noNumber({ store, prefix, moment }: ShipTarget): LongshoreError {
  return new LongshoreError(
    'OBJECT_FAILED',
    `no number of ${moment.date} is free below ${store.name}/${prefix}`,
    {
      hint: 'look who else writes there',
    },
  );
}
