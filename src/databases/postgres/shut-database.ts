/** Makes a database that nobody can connect to yet: empty, or as the server's own copy of another one. */

import type pg from 'pg';
import type { LocalCopy } from '../clone-server.ts';
import { type PostgresShape, shapeClauses } from './database-shape.ts';
import { quoteName } from './sql.ts';

/** @returns whether it has the encoding and collation; where the server has them not, it has its own */
export async function createShut(
  client: pg.ClientBase,
  name: string,
  like: PostgresShape | undefined,
  major: number,
): Promise<boolean> {
  const make = (clauses: string) =>
    client.query(`CREATE DATABASE ${quoteName(name)} TEMPLATE template0 ${SHUT} ${clauses}`);
  try {
    await make(like === undefined ? UTF8 : shapeClauses(like, major));
    return true;
  } catch (error) {
    if (like === undefined || !NO_SUCH_LOCALE.has((error as { code?: string }).code ?? '')) throw error;
    await make(UTF8);
    return false;
  }
}

const UTF8 = "ENCODING 'UTF8'";
/** Of names that are wrong, of providers that are not built in, and of clauses that came later. */
const NO_SUCH_LOCALE: ReadonlySet<string> = new Set(['42809', '22023', '0A000', '42601', '42704', 'XX000']);

/** @returns undefined where somebody is in it */
export async function copyShut(
  client: pg.ClientBase,
  source: string,
  name: string,
  major: number,
  bytes: number,
): Promise<LocalCopy | undefined> {
  const make = async (strategy: string): Promise<'made' | 'in use'> => {
    try {
      await client.query(
        `CREATE DATABASE ${quoteName(name)} TEMPLATE ${quoteName(source)} ${SHUT}${strategy}`,
      );
      return 'made';
    } catch (error) {
      if ((error as { code?: string }).code === OBJECT_IN_USE) return 'in use';
      throw error;
    }
  };
  if (major >= 18 && bytes >= FILE_COPY_BYTES) {
    const made = await byFileClone(client, () => make(' STRATEGY FILE_COPY'));
    if (made !== undefined) return made === 'made' ? { how: 'file clone' } : undefined;
  }
  const files = major >= 15 && bytes >= FILE_COPY_BYTES;
  if ((await make(files ? ' STRATEGY FILE_COPY' : '')) === 'in use') return undefined;
  return { how: files || major < 15 ? 'file copy' : 'template copy' };
}

/**
 * Files are cloned: their blocks are shared where the file system can, and copied by the kernel elsewhere, which the server
 * does not tell.
 * @returns undefined where the platform cannot: what else is wrong shows without it, too
 */
async function byFileClone<T>(client: pg.ClientBase, make: () => Promise<T>): Promise<T | undefined> {
  try {
    await client.query(`SET file_copy_method = 'clone'`);
    return await make();
  } catch {
    return undefined;
  } finally {
    await client.query('RESET file_copy_method');
  }
}

const SHUT = 'ALLOW_CONNECTIONS false';

const OBJECT_IN_USE = '55006';
/** From here on files are copied and not written through the log: that costs two checkpoints, and less for each byte. */
const FILE_COPY_BYTES = 64 * 1024 ** 2;
