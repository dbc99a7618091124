/** Makes, drops and swaps databases, by the dialect of a URL. */

import { type DatabaseUrl, nameOf } from '../config/database-url.ts';

/** The same server and user. */
export function withDatabase(url: DatabaseUrl, database: string): DatabaseUrl {
  const connection = { ...url.connection, database };
  return { ...url, connection, name: nameOf(connection, url.dialect) };
}

/** Makes an empty one. @throws DATABASE_DENIED, DATABASE_FAILED */
export async function createDatabase(url: DatabaseUrl, name: string): Promise<void> {
  if (url.dialect === 'mysql') await (await import('./mysql/make-database.ts')).createDatabase(url, name);
  else await (await import('./postgres/swap-database.ts')).createDatabase(url.connection, name);
}

/** @throws DATABASE_DENIED, DATABASE_FAILED */
export async function dropDatabase(url: DatabaseUrl, name: string): Promise<void> {
  if (url.dialect === 'mysql') await (await import('./mysql/make-database.ts')).dropDatabase(url, name);
  else await (await import('./postgres/swap-database.ts')).dropDatabase(url.connection, name);
}

export type Swap =
  /** The one that was there is called `kept`. */
  | { readonly kind: 'swapped'; readonly kept: string }
  /** There was none of that name. */
  | { readonly kind: 'named' }
  /** MySQL and MariaDB do not rename databases. */
  | { readonly kind: 'not-possible' };

/** Gives `fresh` the name that the URL has. @throws DATABASE_FAILED with both under the names that they had */
export async function swapDatabase(url: DatabaseUrl, fresh: string, kept: string): Promise<Swap> {
  if (url.dialect === 'mysql') return { kind: 'not-possible' };
  const { swapDatabase: swap } = await import('./postgres/swap-database.ts');
  return (await swap(url.connection, fresh, kept)) ? { kind: 'swapped', kept } : { kind: 'named' };
}
