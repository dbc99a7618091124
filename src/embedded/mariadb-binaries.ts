/** Finds the server of MariaDB or MySQL that is installed on this machine. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { serverEnvironment } from './server-environment.ts';

export interface MariadbPrograms {
  /** `mariadbd` or `mysqld` */
  readonly server: string;
  /** `mariadb-install-db`; MySQL's server makes its own data folder. */
  readonly install?: string | undefined;
}

/** What would be started; undefined where none is installed. */
export function mariadbInstalled():
  | { readonly path: string; readonly version: string; readonly product: 'MariaDB' | 'MySQL' }
  | undefined {
  const path = installedPrograms()?.server;
  if (path === undefined) return undefined;
  const text = spawnSync(path, ['--no-defaults', '--version'], {
    env: serverEnvironment(),
    encoding: 'utf8',
    timeout: 10_000,
  }).stdout;
  const version = /Ver (\d+\.\d+\.\d+)/.exec(text ?? '')?.[1];
  if (version === undefined) return undefined;
  return { path, version, product: /mariadb/i.test(text) ? 'MariaDB' : 'MySQL' };
}

/** The first that is found in `PATH` and the folders where packages put servers. */
export function installedPrograms(): MariadbPrograms | undefined {
  const server = programIn(['mariadbd', 'mysqld']);
  return server === undefined ? undefined : { server, install: programIn(['mariadb-install-db']) };
}

function programIn(names: readonly string[]): string | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/local/sbin',
    '/opt/homebrew/bin',
  ];
  for (const name of names) {
    for (const folder of folders)
      if (folder !== '' && existsSync(join(folder, name))) return join(folder, name);
  }
  return undefined;
}
