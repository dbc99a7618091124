/** Which client program fits a server: pure decisions over what the programs say of themselves. */

import { LongshoreError } from '../../errors.ts';
import type { FoundProgram } from '../client-programs.ts';
import type { DumpProgram, DumpServer } from '../dump.ts';

export type Product = 'MariaDB' | 'MySQL';

export interface MysqlServer extends DumpServer {
  readonly product: Product;
}

export interface MysqlClient extends DumpProgram {
  readonly product: Product;
}

/** What a client is needed for, by the names it may have; MariaDB's own first. */
export const CLIENT_NAMES = {
  dump: ['mariadb-dump', 'mysqldump'],
  restore: ['mariadb', 'mysql'],
} as const;

/**
 * The first that is of the server's product and of its major.minor or newer: an older one does not know what is in the
 * catalogue of a newer server, and the two products dropped options of one another.
 *
 * @throws CHECK_FAILED, which names what was found and what to install
 */
export function chooseClient(
  server: MysqlServer,
  found: readonly FoundProgram[],
  use: keyof typeof CLIENT_NAMES,
): MysqlClient {
  const clients = found.map(clientOf).filter((client) => client !== undefined);
  const fits = clients.find(
    (client) => client.product === server.product && !isOlder(client.version, majorMinor(server.version)),
  );
  if (fits !== undefined) return fits;
  const names = CLIENT_NAMES[use].slice(server.product === 'MariaDB' ? 0 : 1);
  const seen = clients.map(({ path, product, version }) => `${path} (${product} ${version})`);
  throw new LongshoreError(
    'CHECK_FAILED',
    `Cannot ${use} with a client that fits ${server.product} ${server.version}: found ${seen.join(', ') || 'none'}`,
    {
      hint: `install ${names.join(' or ')} of ${server.product} ${majorMinor(server.version)} or newer (${packageOf(server)}), or name its folder with --client-folder`,
    },
  );
}

/** What `SELECT VERSION(), @@version_comment` answers. */
export function mysqlServer(version: string, comment: string): MysqlServer {
  return {
    product: /mariadb/i.test(`${version} ${comment}`) ? 'MariaDB' : 'MySQL',
    version: /^\d+\.\d+(?:\.\d+)?/.exec(version.replace(/^5\.5\.5-(?=\d)/, ''))?.[0] ?? version,
  };
}

/**
 * Of the old spelling `Ver 10.19 Distrib 10.11.19-MariaDB, for …` and the new ones `from 11.4.2-MariaDB, client 10.19 for …`
 * and `Ver 8.0.36 for …`. Undefined for what is neither.
 */
export function clientOf({ name, path, versionText }: FoundProgram): MysqlClient | undefined {
  const version = /\b(?:Distrib|from|Ver) (\d+\.\d+\.\d+)/.exec(versionText)?.[1];
  if (version === undefined) return undefined;
  return { name, path, version, product: /mariadb/i.test(versionText) ? 'MariaDB' : 'MySQL' };
}

/**
 * Whether the client takes the first line that dump programs of MariaDB have written since May 2024; others stop at it.
 * @see https://mariadb.com/kb/en/mariadb-dump/
 */
export function knowsSandbox({ product, version }: MysqlClient): boolean {
  const patch = SANDBOX_SINCE[majorMinor(version)];
  return product === 'MariaDB' && !isOlder(version, patch ?? '11.4');
}

const SANDBOX_SINCE: Readonly<Record<string, string>> = {
  '10.5': '10.5.25',
  '10.6': '10.6.18',
  '10.11': '10.11.8',
  '11.0': '11.0.6',
  '11.1': '11.1.5',
  '11.2': '11.2.4',
  '11.4': '11.4.2',
};

/** Compares as many numbers as `than` has. */
export function isOlder(version: string, than: string): boolean {
  const parts = version.split('.').map(Number);
  for (const [place, number] of than.split('.').map(Number).entries()) {
    const part = parts[place] ?? 0;
    if (part !== number) return part < number;
  }
  return false;
}

/** `10.11.19` → `10.11` */
export function majorMinor(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

function packageOf({ product }: MysqlServer): string {
  return product === 'MariaDB' ? 'apt-get install mariadb-client' : 'apt-get install mysql-client';
}
