/** Opens the database of a parsed URL. */

import type { DatabaseUrl } from '../config/database-url.ts';
import type { Database } from './database.ts';

/**
 * Loads the dialect's driver, and only that one. Connections are made when they are first needed.
 *
 * @param options.connections most connections at a time
 */
export async function openDatabase(
  url: DatabaseUrl,
  options: { readonly connections: number },
): Promise<Database> {
  if (url.dialect === 'postgres') {
    const { PostgresDatabase } = await import('./postgres/postgres-database.ts');
    return new PostgresDatabase(url, options);
  }
  const { MysqlDatabase } = await import('./mysql/mysql-database.ts');
  return new MysqlDatabase(url, options);
}
