/** Which of the installed clients serves a PostgreSQL server: a dump by an older client may lose what it does not know. Pure. */

import { LongshoreError } from '../../errors.ts';
import type { FoundProgram } from '../client-programs.ts';
import type { DumpProgram } from '../dump.ts';

/** Where distributions and installers put them, beside the PATH. */
export const CLIENT_FOLDERS = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/opt/homebrew/opt/libpq/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/usr/local/opt/libpq/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
] as const;

/**
 * The client of the server's own major version, else the next one after it.
 * @throws CHECK_FAILED where there is none, with what to install
 */
export function chooseClient(
  name: 'pg_dump' | 'pg_dumpall',
  serverVersion: string,
  found: readonly FoundProgram[],
): DumpProgram {
  const server = majorOf(serverVersion);
  const [best] = programsOf(name, found)
    .filter(({ version }) => majorOf(version) >= server)
    .sort((one, other) => majorOf(one.version) - majorOf(other.version));
  if (best !== undefined) return best;
  throw noClient(name, serverVersion, found);
}

/** From then on pg_restore sets what earlier servers do not know. */
const SETS_MORE = 17;

/**
 * The pg_restore of the server's own major version, else the next one before it.
 * @throws CHECK_FAILED where there is none
 */
export function chooseRestoreClient(serverVersion: string, found: readonly FoundProgram[]): DumpProgram {
  const server = majorOf(serverVersion);
  const distance = ({ version }: DumpProgram): number => Math.abs(majorOf(version) - server);
  const [best] = programsOf('pg_restore', found)
    .filter(({ version }) => majorOf(version) <= Math.max(server, SETS_MORE - 1))
    .sort((one, other) => distance(one) - distance(other));
  if (best !== undefined) return best;
  throw noClient('pg_restore', serverVersion, found);
}

function programsOf(name: string, found: readonly FoundProgram[]): DumpProgram[] {
  return found.flatMap((program) => {
    const version = program.name === name ? versionIn(program.versionText) : undefined;
    return version === undefined ? [] : [{ name, path: program.path, version }];
  });
}

function noClient(name: string, serverVersion: string, found: readonly FoundProgram[]): LongshoreError {
  const others = found.filter((program) => program.name === name).map(({ versionText }) => versionText);
  const here = others.length === 0 ? `there is no ${name} here` : `here is ${others.join(', ')}`;
  return new LongshoreError('CHECK_FAILED', `the server is PostgreSQL ${serverVersion}, and ${here}`, {
    hint: `install its client (Debian: postgresql-client-${majorOf(serverVersion)}), or name the folder of another one with --client-folder`,
  });
}

/** `pg_dump (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)` → `15.19` */
export function versionIn(text: string): string | undefined {
  return /\b(\d+(?:\.\d+)*)/.exec(text)?.[1];
}

/** `9.6.24` → 9.6, `15.19` → 15 */
export function majorOf(version: string): number {
  const [first = '0', second = '0'] = version.split('.');
  return Number(first) >= 10 ? Number(first) : Number(`${first}.${second}`);
}
