/**
 * What a file cannot hold itself, its attributes and tags, as JSON in a hidden folder at the root:
 * `.longshore-attributes/<SHA-256 of the key>/<inode>.json`.
 *
 * A sidecar belongs to one file and not to its name, so it is written before the file gets its name, and neither a
 * crash nor another writer of the same name can give a file the attributes of another. A tree that was copied by
 * other means has new inodes; there the only sidecar of a key counts, if it was made for a file of that size.
 */

import { createHash, randomUUID } from 'node:crypto';
import { lstat, mkdir, open, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LongshoreError } from '../../errors.ts';
import type { ObjectAttributes, ObjectTag } from '../object-store.ts';
import { HIDDEN } from './file-keys.ts';
import { errnoOf } from './files-error.ts';

export interface Sidecar {
  readonly attributes: ObjectAttributes;
  readonly tags: readonly ObjectTag[];
}

/** The file that a sidecar is about. */
export interface SidecarOwner {
  readonly ino: bigint;
  readonly size: bigint;
}

export const NO_SIDECAR: Sidecar = { attributes: { metadata: {} }, tags: [] };

export class Sidecars {
  readonly #folder: string;

  /** @param root without links in its path */
  constructor(root: string) {
    this.#folder = join(root, `${HIDDEN}attributes`);
  }

  async read(key: string, owner: SidecarOwner): Promise<Sidecar> {
    if (!(await exists(this.#folder))) return NO_SIDECAR;
    const path = this.#pathOf(key, owner);
    const own = await readOptional(path);
    if (own !== undefined) return own;
    const only = await onlyEntry(dirname(path));
    const other = only === undefined ? undefined : await readOptional(only);
    return other?.sizeBytes === Number(owner.size) ? other : NO_SIDECAR;
  }

  /** To be called before the file gets its name. Durable when it resolves. */
  async write(key: string, owner: SidecarOwner, sidecar: Sidecar): Promise<void> {
    const path = this.#pathOf(key, owner);
    // Nothing to keep is said only where another sidecar could be taken for this file's.
    if (isEmpty(sidecar) && !(await exists(dirname(path)))) return;
    await this.#makeFolder();
    const temporary = `${path}.${randomUUID()}`;
    const text = JSON.stringify({ key, sizeBytes: Number(owner.size), ...sidecar });
    const file = await openInFolder(temporary);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  }

  /**
   * Forgets what is known of a file that is gone, or never got its name. Only its own: what another tool's copy of
   * the tree left behind stays, as it cannot be told from what another writer is just preparing.
   */
  async remove(key: string, owner: SidecarOwner): Promise<void> {
    const path = this.#pathOf(key, owner);
    if (!(await exists(dirname(path)))) return;
    await rm(path, { force: true });
    try {
      await rmdir(dirname(path));
    } catch (error) {
      if (!STAYS.has(errnoOf(error) ?? '')) throw error;
    }
  }

  async #makeFolder(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    if (await exists(this.#folder)) return;
    throw new LongshoreError('OBJECT_FAILED', `Cannot keep attributes in ${this.#folder}: it is a link`, {
      hint: 'remove the link',
    });
  }

  #pathOf(key: string, owner: SidecarOwner): string {
    return join(this.#folder, createHash('sha256').update(key).digest('hex'), `${owner.ino}.json`);
  }
}

/** What `rmdir` says of a folder that is in use, or gone. */
const STAYS = new Set(['ENOTEMPTY', 'EEXIST', 'ENOENT']);

function isEmpty({ attributes, tags }: Sidecar): boolean {
  const { metadata, ...plain } = attributes;
  return tags.length === 0 && Object.keys(plain).length === 0 && Object.keys(metadata).length === 0;
}

/** A real folder; a link in its place leads nowhere. */
async function exists(folder: string): Promise<boolean> {
  try {
    return (await lstat(folder)).isDirectory();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** A new file; its folder is made, again where it is removed in the same moment. */
async function openInFolder(path: string): ReturnType<typeof open> {
  for (let attempt = 1; ; attempt++) {
    await mkdir(dirname(path), { recursive: true });
    try {
      return await open(path, 'wx');
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || attempt >= ATTEMPTS_MAX) throw error;
    }
  }
}

const ATTEMPTS_MAX = 20;

async function onlyEntry(folder: string): Promise<string | undefined> {
  try {
    const names = await readdir(folder);
    return names.length === 1 && names[0]!.endsWith('.json') ? join(folder, names[0]!) : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function readOptional(path: string): Promise<(Sidecar & { readonly sizeBytes: number }) | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Sidecar & { sizeBytes: number };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    if (!(error instanceof SyntaxError)) throw error;
    throw new LongshoreError('OBJECT_FAILED', `Cannot read the attributes in ${path}: it is not JSON`, {
      cause: error,
      hint: 'remove the file; the object is then read without its attributes',
    });
  }
}
