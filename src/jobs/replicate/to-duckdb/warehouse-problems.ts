/** What keeps a replication from a DuckDB database, as far as it shows before anything is made. */

import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Problem } from '../../../databases/postgres/replication-setup.ts';
import { LongshoreError, messageOf } from '../../../errors.ts';
import type { TableName } from '../table-filter.ts';
import { installedDuckDb } from './duckdb-file.ts';
import { META_SCHEMA } from './warehouse-state.ts';

/** @param path of the database */
export async function warehouseProblems(path: string, tables: readonly TableName[]): Promise<Problem[]> {
  const problems: Problem[] = [];
  try {
    await installedDuckDb();
  } catch (error) {
    if (!(error instanceof LongshoreError)) throw error;
    problems.push({ what: error.message, fix: error.hint ?? '' });
  }
  try {
    await access(dirname(path), constants.W_OK);
  } catch (error) {
    problems.push({
      what: messageOf(error),
      fix: 'make the folder of the database, or name another one with --to',
    });
  }
  const own = tables.find(isInMetaSchema);
  if (own !== undefined) problems.push(metaSchemaProblem);
  return problems;
}

/** Names that differ by case alone are one to DuckDB. */
export function isInMetaSchema({ schema }: TableName): boolean {
  return schema.toLowerCase() === META_SCHEMA;
}

export const metaSchemaProblem: Problem = {
  what: `${META_SCHEMA} is the schema of the checkpoint in DuckDB`,
  fix: `leave that of the source out with --tables '!${META_SCHEMA}.*'`,
};
