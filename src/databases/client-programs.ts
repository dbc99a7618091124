/** Finds the client programs of a database on this machine, and asks each which version it is. */

import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, glob, realpath, stat } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';
import { LongshoreError } from '../errors.ts';

export interface FoundProgram {
  readonly name: string;
  readonly path: string;
  /** What it printed; empty where it does not run. */
  readonly versionText: string;
}

/**
 * In the order of the folders, and in a folder in that of the names.
 *
 * @param folders each may hold `*`
 * @param names without the `.exe` of Windows
 * @param env what the programs are run with
 * @param flags with which they print their version and nothing else
 */
export async function findPrograms(
  names: readonly string[],
  folders: readonly string[],
  env: NodeJS.ProcessEnv,
  flags: readonly string[] = ['--version'],
): Promise<FoundProgram[]> {
  const found = await Promise.all(
    [...new Set(await expanded(folders))].flatMap((folder) =>
      names.map(async (name) => {
        const path = join(folder, process.platform === 'win32' ? `${name}.exe` : name);
        if (!(await isProgram(path))) return [];
        return [{ name, path, versionText: await versionText(path, flags, env) }];
      }),
    ),
  );
  return found.flat();
}

async function expanded(folders: readonly string[]): Promise<string[]> {
  const all: string[] = [];
  for (const folder of folders) {
    if (folder.includes('*')) all.push(...(await Array.fromAsync(glob(folder))).sort().reverse());
    else all.push(folder);
  }
  return all;
}

/** The folder that was asked for and no other; else those where installers put clients, and those of `PATH`. */
export function clientFolders(
  first: string | undefined,
  env: NodeJS.ProcessEnv,
  usual: readonly string[],
): string[] {
  if (first !== undefined) return [first];
  return [...usual, ...(env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')];
}

/** @throws CHECK_FAILED for a folder that was asked for and holds none of the programs */
export function checkClientFolder(
  folder: string | undefined,
  names: readonly string[],
  found: readonly FoundProgram[],
): void {
  if (folder === undefined || found.length > 0) return;
  throw new LongshoreError('CHECK_FAILED', `${folder} has none of ${names.join(', ')}`, {
    hint: 'correct --client-folder, or leave it out: then they are looked for where packages put them and on the PATH',
  });
}

/** Of our environment what programs need to run; no settings of clients, and no passwords. */
export function clientEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, LANG, LC_ALL, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH, SystemRoot } = env;
  return { PATH, HOME, TMPDIR, LANG, LC_ALL, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH, SystemRoot };
}

/** Of Debian: it starts one of the programs that lie in folders of their versions, and takes its time. */
const DISPATCHER = 'pg_wrapper';

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    const real = await realpath(path);
    return (await stat(real)).isFile() && basename(real) !== DISPATCHER;
  } catch {
    // Not there, or not for us: either way none that can be run.
    return false;
  }
}

function versionText(path: string, flags: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve) => {
    execFile(path, flags, { env, timeout: 10_000, maxBuffer: 65_536 }, (error, stdout) =>
      resolve(error === null ? stdout.trim() : ''),
    );
  });
}
