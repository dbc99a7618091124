/** Opens dumps and the databases that they are restored into, by the dialect of a URL. */

import type { DatabaseUrl } from '../config/database-url.ts';
import { LongshoreError } from '../errors.ts';
import type { DumpOptions, PreparedDump, RestoreOptions, RestoreTarget } from './dump.ts';

/** @throws CHECK_FAILED where no client serves the server; the errors of the database */
export async function prepareDump(
  { dialect, connection }: DatabaseUrl,
  options: DumpOptions,
): Promise<PreparedDump> {
  if (dialect === 'mysql') throw new LongshoreError('CONFIG_INVALID', 'not yet');
  const { preparePostgresDump } = await import('./postgres/prepare-dump.ts');
  return preparePostgresDump(connection, options);
}

/** @throws the errors of the database */
export async function openRestoreTarget(
  { dialect, connection }: DatabaseUrl,
  options: RestoreOptions,
): Promise<RestoreTarget> {
  if (dialect === 'mysql') throw new LongshoreError('CONFIG_INVALID', 'not yet');
  const { openPostgresTarget } = await import('./postgres/restore-target.ts');
  return openPostgresTarget(connection, options);
}
