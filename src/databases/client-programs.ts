/** Finds the client programs of a database on this machine, with what they say of their version. */

import { execFile } from 'node:child_process';
import { access, constants, glob, realpath } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

export interface FoundProgram {
  readonly name: string;
  readonly path: string;
  /** The first line of `--version`. */
  readonly says: string;
}

const ASK_MS = 10_000;

/**
 * @param folders in the order in which they are looked at; each may hold `*`
 * @returns each program once, in the order of the folders; one that does not run is left out
 */
export async function findPrograms(
  names: readonly string[],
  folders: readonly string[],
): Promise<FoundProgram[]> {
  const found = new Map<string, FoundProgram>();
  for (const folder of await expanded(folders)) {
    for (const name of names) {
      const path = join(folder, name);
      const real = await programAt(path);
      if (real === undefined || found.has(`${name} ${real}`)) continue;
      const says = await versionOf(path);
      if (says !== undefined) found.set(`${name} ${real}`, { name, path, says });
    }
  }
  return [...found.values()];
}

/** Those of the PATH. */
export function pathFolders(): string[] {
  return (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
}

async function expanded(folders: readonly string[]): Promise<string[]> {
  const all: string[] = [];
  for (const folder of folders) {
    if (!folder.includes('*')) all.push(folder);
    else all.push(...(await Array.fromAsync(glob(folder))).sort().reverse());
  }
  return all;
}

/** Undefined where none is, or none that may be run. */
async function programAt(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    return await realpath(path);
  } catch {
    return undefined;
  }
}

async function versionOf(path: string): Promise<string | undefined> {
  try {
    const { PATH, HOME } = process.env;
    const options = { timeout: ASK_MS, env: { PATH, HOME, LC_ALL: 'C' } };
    const { stdout } = await promisify(execFile)(path, ['--version'], options);
    return stdout.trim().split('\n')[0];
  } catch {
    // It cannot be run here: another one is looked for, or the error names what is missing.
    return undefined;
  }
}
