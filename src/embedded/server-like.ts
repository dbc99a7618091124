/** Starts a throw-away database server from the programs of this machine, of the version that a backup is of or a later one. */

import { dirname } from 'node:path';
import { clientEnvironment, clientFolders, findPrograms } from '../databases/client-programs.ts';
import type { DumpServer } from '../databases/dump.ts';
import { isOlder, majorMinor } from '../databases/mysql/client-choice.ts';
import { CLIENT_FOLDERS, majorOf, versionIn } from '../databases/postgres/client-choice.ts';
import { postgresPrograms } from '../databases/postgres/client-programs.ts';
import { LongshoreError } from '../errors.ts';
import { startMariadb } from './mariadb.ts';
import { mariadbInstalled } from './mariadb-binaries.ts';
import { startPostgres } from './postgres.ts';
import { packagedBinFolder } from './postgres-binaries.ts';

export interface ThrowAwayServer extends AsyncDisposable {
  readonly server: DumpServer;
  /** Of a database that is there, as a user who may do everything. */
  readonly url: string;
}

/**
 * In a private temporary folder, on 127.0.0.1, with a random password; gone when it is disposed, or this process ends.
 * @param folder of the server's programs; looked for in the usual places where it is left out
 * @throws CHECK_FAILED where there is none that serves, with what to install
 */
export function startServerLike(like: DumpServer, folder: string | undefined): Promise<ThrowAwayServer> {
  return like.product === 'PostgreSQL' ? startPostgresLike(like, folder) : startMariadbLike(like);
}

/**
 * A PostgreSQL that a pg_dump of this machine can dump.
 * @throws CHECK_FAILED where there is no such pair
 */
export async function startDumpableServer(): Promise<ThrowAwayServer> {
  const clients = (await postgresPrograms(undefined)).filter(({ name }) => name === 'pg_dump');
  const newest = Math.max(0, ...clients.map(({ versionText }) => majorOf(versionIn(versionText) ?? '0')));
  const [best] = (await postgresServers(undefined))
    .filter(({ version }) => majorOf(version) <= newest)
    .sort((one, other) => majorOf(other.version) - majorOf(one.version));
  if (best === undefined) {
    throw new LongshoreError('CHECK_FAILED', 'there is no PostgreSQL here with a pg_dump of its version', {
      hint: 'install one (Debian: apt-get install postgresql; macOS: brew install postgresql@17)',
    });
  }
  return await startPostgresAt(best);
}

async function startPostgresAt(found: FoundServer): Promise<ThrowAwayServer> {
  const server = await startPostgres({ binFolder: found.binFolder });
  return {
    server: { product: 'PostgreSQL', version: found.version },
    url: server.url,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function startMariadbLike(like: DumpServer): Promise<ThrowAwayServer> {
  const installed = mariadbInstalled();
  if (installed?.product !== like.product || isOlder(installed.version, majorMinor(like.version))) {
    const here =
      installed === undefined ? 'there is none here' : `here is ${installed.product} ${installed.version}`;
    const wanted = `${like.product} ${majorMinor(like.version)}`;
    throw new LongshoreError('CHECK_FAILED', `a drill needs a server of ${wanted} or later, and ${here}`, {
      hint: like.product === 'MariaDB' ? 'install it (Debian: mariadb-server)' : 'install mysql-server',
    });
  }
  const server = await startMariadb();
  return {
    server: { product: installed.product, version: installed.version },
    url: server.url,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function startPostgresLike(like: DumpServer, folder: string | undefined): Promise<ThrowAwayServer> {
  const found = await postgresServers(folder);
  const wanted = majorOf(like.version);
  const [best] = found
    .filter(({ version }) => majorOf(version) >= wanted)
    .sort((one, other) => majorOf(one.version) - majorOf(other.version));
  if (best === undefined) {
    const here =
      found.length === 0
        ? `there is none ${folder === undefined ? 'here' : `in ${folder}`}`
        : `here is ${found.map(({ version }) => version).join(', ')}`;
    throw new LongshoreError(
      'CHECK_FAILED',
      `a drill needs a server of PostgreSQL ${wanted} or later, and ${here}`,
      {
        hint: `install it (Debian: postgresql-${wanted}), or name the folder of its programs with --server-folder`,
      },
    );
  }
  return await startPostgresAt(best);
}

interface FoundServer {
  readonly version: string;
  readonly binFolder: string;
}

async function postgresServers(folder: string | undefined): Promise<FoundServer[]> {
  const folders = clientFolders(folder, process.env, CLIENT_FOLDERS);
  if (folder === undefined) {
    try {
      folders.push(await packagedBinFolder());
    } catch (error) {
      // The package is optional; an installed server serves as well.
      if (!(error instanceof LongshoreError)) throw error;
    }
  }
  const programs = await findPrograms(['postgres'], folders, clientEnvironment());
  return programs.flatMap(({ path, versionText }) => {
    const version = versionIn(versionText);
    return version === undefined ? [] : [{ version, binFolder: dirname(path) }];
  });
}
