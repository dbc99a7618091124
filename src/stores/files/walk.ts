/**
 * The keys below a folder in UTF-8 byte order: a folder sorts as its name with a slash behind it, so `a.b` comes
 * before what is in `a/`.
 *
 * Memory does not grow with the number of files. A folder is read to its end and only the next names in order are
 * kept; where more are wanted it is read again.
 */

import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareKeys } from '../key-order.ts';
import { HIDDEN } from './file-keys.ts';
import { errnoOf } from './files-error.ts';

export interface WalkRange {
  readonly prefix: string;
  /** Keys after this one; '' for all. */
  readonly startAfter: string;
}

/**
 * @param folder a key that ends in a slash, or ''; only what may hold keys of the range is read
 * @throws the file system's error; a folder that vanished holds nothing
 */
export async function* walkFiles(root: string, folder: string, range: WalkRange): AsyncGenerator<string> {
  let last = '';
  for (;;) {
    const names = await nextEntries(root, folder, range, last);
    for (const key of names) {
      if (key.endsWith('/')) yield* walkFiles(root, key, range);
      else yield key;
    }
    if (names.length < ENTRIES_MAX) return;
    last = names.at(-1)!;
  }
}

/** How many names of one folder are in memory; more than a page of a listing. */
const ENTRIES_MAX = 4096;

/** The first entries of the folder after `last` that are keys of the range, or folders that may hold some. */
async function nextEntries(root: string, folder: string, range: WalkRange, last: string): Promise<string[]> {
  let kept: string[] = [];
  try {
    for await (const entry of await opendir(join(root, folder), { bufferSize: 512 })) {
      if (entry.name.startsWith(HIDDEN)) continue;
      const isFolder = entry.isDirectory();
      if (!isFolder && !entry.isFile()) continue;
      const key = folder + entry.name + (isFolder ? '/' : '');
      if (last !== '' && compareKeys(key, last) <= 0) continue;
      if (!(isFolder ? mayHold(key, range) : isIn(key, range))) continue;
      kept.push(key);
      if (kept.length >= 2 * ENTRIES_MAX) kept = kept.sort(compareKeys).slice(0, ENTRIES_MAX);
    }
  } catch (error) {
    const vanished = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR';
    if (vanished && folder !== '') return [];
    throw error;
  }
  return kept.sort(compareKeys).slice(0, ENTRIES_MAX);
}

function isIn(key: string, { prefix, startAfter }: WalkRange): boolean {
  return key.startsWith(prefix) && compareKeys(key, startAfter) > 0;
}

function mayHold(folder: string, { prefix, startAfter }: WalkRange): boolean {
  if (!folder.startsWith(prefix) && !prefix.startsWith(folder)) return false;
  return compareKeys(folder, startAfter) > 0 || startAfter.startsWith(folder);
}
