/** Describes the columns of a move as far as the databases can be asked. */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { openDatabase } from '../../databases/open-database.ts';
import { LongshoreError } from '../../errors.ts';
import type { MoveSettings } from './settings.ts';
import type { DescribedColumn } from './sql-grants.ts';

/** Columns that cannot be described are left out: grants are printed before there is a role that could ask. */
export async function describeColumns(
  settings: MoveSettings,
  env: Readonly<Record<string, string | undefined>>,
): Promise<DescribedColumn[]> {
  const described: DescribedColumn[] = [];
  for (const text of settings.rows) {
    const url = parseDatabaseUrl(text, env);
    await using database = await openDatabase(url, { connections: 1 });
    for (const ref of url.columns) {
      try {
        described.push({ facts: await database.describe(ref), database: { name: database.name } });
      } catch (error) {
        if (!(error instanceof LongshoreError)) throw error;
      }
    }
  }
  return described;
}
