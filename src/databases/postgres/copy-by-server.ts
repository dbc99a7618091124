/** A PostgreSQL server copies one of its databases by itself: its files are cloned where the platform can, else copied, else its pages are. */

import type pg from 'pg';
import type { LocalCopy } from '../clone-server.ts';
import { quoteName } from './sql.ts';

const OBJECT_IN_USE = '55006';
/** From here on files are copied and not written through the log: that costs two checkpoints, and less for each byte. */
const FILE_COPY_BYTES = 64 * 1024 ** 2;

/** @returns undefined where somebody is in it */
export async function copyByServer(
  client: pg.ClientBase,
  source: string,
  name: string,
  major: number,
  bytes: number,
): Promise<LocalCopy | undefined> {
  const make = async (strategy: string): Promise<'made' | 'in use'> => {
    try {
      await client.query(
        `CREATE DATABASE ${quoteName(name)} TEMPLATE ${quoteName(source)}${strategy}${SHUT}`,
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

/** Nobody gets into a database that was just made: whoever dies now leaves it so. */
export const SHUT = ' ALLOW_CONNECTIONS false';
