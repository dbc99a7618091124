/** Fills a sample table in whichever database a URL names. */

import type { DatabaseUrl } from '../config/database-url.ts';
import type { ColumnRef } from './database.ts';

/** Makes a table with a key and one column, and inserts values. */
export interface RowSeeder extends AsyncDisposable {
  /** Makes table and index where they are missing. */
  createTable(): Promise<void>;
  insert(values: readonly string[]): Promise<void>;
  /** Brings statistics up to date. */
  finish(): Promise<void>;
}

export async function openSeeder(url: DatabaseUrl, ref: ColumnRef): Promise<RowSeeder> {
  if (url.dialect === 'postgres') return (await import('./postgres/seed-rows.ts')).postgresSeeder(url, ref);
  return (await import('./mysql/seed-rows.ts')).mysqlSeeder(url, ref);
}
