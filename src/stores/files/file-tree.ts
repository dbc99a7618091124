/**
 * Paths below a root, none of which passes through a symbolic link, and the folders that exist only because of
 * their files: made for a new file, removed with the last one.
 */

import { randomUUID } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, realpath, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LongshoreError } from '../../errors.ts';
import { ABSENT, fileStats } from './file-facts.ts';
import { HIDDEN, isFileKey } from './file-keys.ts';
import { errnoOf } from './files-error.ts';

export class FileTree {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  /** @param folder must exist; may itself be reached through links */
  static async open(folder: string): Promise<FileTree> {
    return new FileTree(await realpath(folder));
  }

  /** Where the key's file would be; undefined where there is none and can be none: no such folder, or a link on the way. */
  async locate(key: string): Promise<string | undefined> {
    if (!isFileKey(key)) return undefined;
    const path = join(this.root, key);
    const parent = dirname(path);
    try {
      return parent === this.root || (await realpath(parent)) === parent ? path : undefined;
    } catch (error) {
      if (ABSENT.has(errnoOf(error) ?? '')) return undefined;
      throw error;
    }
  }

  /** The facts of the key's file; undefined where there is none. */
  async stats(key: string): Promise<BigIntStats | undefined> {
    const path = await this.locate(key);
    return path === undefined ? undefined : fileStats(path);
  }

  /** Opens the key's file for reading; undefined where there is none. */
  async openFile(key: string): Promise<FileHandle | undefined> {
    const path = await this.locate(key);
    if (path === undefined) return undefined;
    try {
      // Without waiting for a writer, should a pipe have taken its place.
      return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (ABSENT.has(code) || code === 'ENXIO') return undefined;
      throw error;
    }
  }

  /** A new hidden file in the folder of the key, which is made where it is missing. */
  async openTemporary(key: string): Promise<{ temporary: string; path: string; file: FileHandle }> {
    const path = join(this.root, key);
    for (let attempt = 1; ; attempt++) {
      await this.#makeParent(key);
      const temporary = join(dirname(path), HIDDEN + randomUUID());
      try {
        return { temporary, path, file: await open(temporary, 'wx') };
      } catch (error) {
        // A deletion took the empty folder away in the same moment.
        if (errnoOf(error) !== 'ENOENT' || attempt >= ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** Makes the names in the key's folder durable, and the folder's own, up to the root. */
  async sync(key: string): Promise<void> {
    for (let folder = dirname(key); ; folder = dirname(folder)) {
      if (await syncFolder(join(this.root, folder))) return;
      if (folder === '.') return;
    }
  }

  /** Removes the folders of the key that are empty now. */
  async removeEmptyFolders(key: string): Promise<void> {
    for (let folder = dirname(key); folder !== '.'; folder = dirname(folder)) {
      try {
        await rmdir(join(this.root, folder));
      } catch (error) {
        if (IN_USE.has(errnoOf(error) ?? '')) return;
        throw error;
      }
    }
  }

  async #makeParent(key: string): Promise<void> {
    const path = join(this.root, key);
    if ((await this.locate(key)) !== undefined) return;
    const parts = dirname(key).split('/');
    for (let depth = 1; depth <= parts.length; depth++) {
      const folder = join(this.root, ...parts.slice(0, depth));
      try {
        await mkdir(folder);
        await syncFolder(dirname(folder));
      } catch (error) {
        if (errnoOf(error) === 'ENOENT' && depth > 1) return this.#makeParent(key);
        if (errnoOf(error) !== 'EEXIST') throw error;
        if (!(await lstat(folder)).isSymbolicLink()) continue;
        throw new LongshoreError('OBJECT_FAILED', `Cannot write ${path}: ${folder} is a symbolic link`, {
          hint: 'links are not followed; name the folder that it leads to as the target',
        });
      }
    }
  }
}

/** @returns whether the folder is there */
async function syncFolder(path: string): Promise<boolean> {
  try {
    const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

const ATTEMPTS_MAX = 20;
/** What `rmdir` says of a folder that holds something, or that another took away. */
const IN_USE = new Set(['ENOTEMPTY', 'EEXIST', 'ENOENT']);
