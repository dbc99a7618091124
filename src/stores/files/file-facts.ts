/** What the file system knows of a file, as facts of an object. */

import type { BigIntStats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { LongshoreError } from '../../errors.ts';
import type { ListedObject, ObjectHead } from '../object-store.ts';
import { errnoOf } from './files-error.ts';
import type { Sidecar } from './sidecars.ts';

/** The facts of a regular file; undefined for everything else, and for nothing. */
export async function fileStats(path: string): Promise<BigIntStats | undefined> {
  try {
    const stats = await lstat(path, { bigint: true });
    return stats.isFile() ? stats : undefined;
  } catch (error) {
    if (ABSENT.has(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** The line of a listing; undefined where the file is gone. */
export async function listedFile(root: string, key: string): Promise<ListedObject | undefined> {
  const stats = await fileStats(join(root, key));
  if (stats !== undefined) {
    const { sizeBytes, etag, lastModifiedMs } = factsOf(stats);
    return { key, sizeBytes, etag, lastModifiedMs, storageClass: 'STANDARD' };
  }
  // Node shows bytes that are not UTF-8 as U+FFFD; by that name there is no file.
  if (!key.includes('\ufffd')) return undefined;
  throw new LongshoreError('OBJECT_FAILED', `Cannot list ${JSON.stringify(key)}: its name is not UTF-8`, {
    hint: 'rename the file (convmv does it for a whole tree)',
    context: { key },
  });
}

export function headOf(key: string, stats: BigIntStats, { attributes, tags }: Sidecar): ObjectHead {
  return { key, ...factsOf(stats), attributes, checksums: [], tagCount: tags.length };
}

function factsOf(stats: BigIntStats): { sizeBytes: number; etag: string; lastModifiedMs: number } {
  return { sizeBytes: Number(stats.size), etag: etagOf(stats), lastModifiedMs: Number(stats.mtimeMs) };
}

/** Opaque: changes with every change of the file that its file system can tell. */
export function etagOf({ ino, mtimeNs, size }: BigIntStats): string {
  return `${ino}-${mtimeNs}-${size}`;
}

/** What the file system says where there is no such file, and can be none. */
export const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP']);
