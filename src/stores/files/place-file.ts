/** Gives a key a new file, whole and durable, or leaves everything as it was. */

import type { BigIntStats } from 'node:fs';
import { type FileHandle, link, lstat, rename, rm } from 'node:fs/promises';
import { LongshoreError } from '../../errors.ts';
import type { CopyRequest } from '../object-store.ts';
import { etagOf, fileStats } from './file-facts.ts';
import { isFileKey } from './file-keys.ts';
import type { FileTree } from './file-tree.ts';
import { errnoOf } from './files-error.ts';
import type { Sidecar, Sidecars } from './sidecars.ts';

export interface OpenedFolder {
  readonly tree: FileTree;
  readonly sidecars: Sidecars;
}

export type PlaceOutcome =
  | { readonly kind: 'placed'; readonly etag: string }
  | { readonly kind: 'target-exists' }
  | { readonly kind: 'source-changed' };

/**
 * Makes a file under a hidden name and gives it its own when it is whole and durable.
 *
 * A crash leaves, up to the link or rename, a hidden file and perhaps a sidecar that belongs to no name; after it,
 * the whole object, and perhaps the sidecar of the file that it replaced. None of them is ever seen.
 * @param make fills the file; false where the source changed meanwhile
 */
export async function placeFile(
  { tree, sidecars }: OpenedFolder,
  key: string,
  conditions: Pick<CopyRequest, 'ifAbsent' | 'ifTargetEtag'>,
  sidecar: Sidecar,
  make: (file: FileHandle, temporary: string) => Promise<boolean>,
): Promise<PlaceOutcome> {
  if (!isFileKey(key)) throw cannotBeFile(key, tree.root);
  const { temporary, path, file } = await tree.openTemporary(key);
  let written: BigIntStats | undefined;
  let outcome: PlaceOutcome | undefined;
  try {
    try {
      if (!(await make(file, temporary))) return { kind: 'source-changed' };
      await file.sync();
      written = await file.stat({ bigint: true });
    } finally {
      await file.close();
    }
    const before = await fileStats(path);
    if (conditions.ifTargetEtag !== undefined) {
      if (before === undefined || etagOf(before) !== conditions.ifTargetEtag)
        return { kind: 'target-exists' };
    } else if (conditions.ifAbsent && before !== undefined) return { kind: 'target-exists' };
    await sidecars.write(key, written, sidecar);
    if (conditions.ifTargetEtag !== undefined || !conditions.ifAbsent) await rename(temporary, path);
    else if (!(await linked(temporary, path, key))) return { kind: 'target-exists' };
    outcome = { kind: 'placed', etag: etagOf(written) };
    await tree.sync(key);
    if (before !== undefined) await sidecars.remove(key, before);
    return outcome;
  } finally {
    await rm(temporary, { force: true });
    if (outcome === undefined) {
      if (written !== undefined) await sidecars.remove(key, written);
      await tree.removeEmptyFolders(key);
    }
  }
}

/** Gives the file its name where nothing has it. @returns false where a file has it */
async function linked(temporary: string, path: string, key: string): Promise<boolean> {
  for (;;) {
    try {
      await link(temporary, path);
      return true;
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (NO_LINKS.has(code)) {
        throw new LongshoreError(
          'STORE_UNSUPPORTED',
          `Cannot write ${path}: its file system has no hard links`,
          {
            cause: error,
            hint: 'choose a folder on another file system; "only if absent" is made with hard links',
          },
        );
      }
      if (code !== 'EEXIST') throw error;
      const other = await lstat(path).catch(absentOrThrow);
      if (other === undefined) continue;
      if (other.isFile()) return false;
      throw new LongshoreError(
        'OBJECT_FAILED',
        `Cannot write ${path}: a ${other.isDirectory() ? 'folder' : 'link or device'} has this name`,
        { cause: error, hint: 'map the key to another one by a rule, or exclude it', context: { key } },
      );
    }
  }
}

/** Deleted in the same moment. */
function absentOrThrow(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

function cannotBeFile(key: string, store: string): LongshoreError {
  return new LongshoreError(
    'OBJECT_FAILED',
    `Cannot write ${JSON.stringify(key)} in ${store}: no file can have this name`,
    {
      hint: 'map it to another key by a rule, or exclude it',
      context: { key },
    },
  );
}
