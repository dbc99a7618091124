/** Opens dumps and the databases that they are restored into, by the dialect of a URL. */

import type { DatabaseUrl } from '../config/database-url.ts';
import type { DumpOptions, PreparedDump, RestoreOptions, RestoreTarget } from './dump.ts';

/** @throws CHECK_FAILED where no client serves the server; the errors of the database */
export async function prepareDump(
  url: DatabaseUrl,
  options: DumpOptions,
  signal: AbortSignal,
): Promise<PreparedDump> {
  if (url.dialect === 'mysql') {
    const { prepareMysqlDump } = await import('./mysql/mysql-dump.ts');
    return prepareMysqlDump(url, options, signal);
  }
  const { preparePostgresDump } = await import('./postgres/prepare-dump.ts');
  return preparePostgresDump(url.connection, options);
}

/** @throws the errors of the database */
export async function openRestoreTarget(url: DatabaseUrl, options: RestoreOptions): Promise<RestoreTarget> {
  if (url.dialect === 'mysql') {
    const { openMysqlRestoreTarget } = await import('./mysql/mysql-restore.ts');
    return openMysqlRestoreTarget(url, options);
  }
  const { openPostgresTarget } = await import('./postgres/restore-target.ts');
  return openPostgresTarget(url.connection, options);
}
