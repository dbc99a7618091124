/** Truncates tables of the target as the source truncated its own. */

import type pg from 'pg';
import type { TargetTable } from './target-table.ts';

/** A table that points to one of them is not among them. */
const REFERENCED = '0A000';

/**
 * The source names every table of the publication that it truncated, those of CASCADE too; so nothing else is emptied
 * here. A table that others still point to cannot be truncated, and is emptied row by row.
 * @param client in the transaction of the changes
 */
export async function truncateTables(
  client: pg.ClientBase,
  tables: readonly Pick<TargetTable, 'text'>[],
  { restartIdentity }: { readonly restartIdentity: boolean },
): Promise<void> {
  await client.query('SAVEPOINT longshore_truncate');
  try {
    const restart = restartIdentity ? ' RESTART IDENTITY' : '';
    await client.query(`TRUNCATE ${tables.map(({ text }) => text).join(', ')}${restart}`);
    await client.query('RELEASE SAVEPOINT longshore_truncate');
  } catch (error) {
    if ((error as { code?: string }).code !== REFERENCED) throw error;
    await client.query('ROLLBACK TO SAVEPOINT longshore_truncate');
    for (const { text } of tables) await client.query(`DELETE FROM ${text}`);
  }
}
