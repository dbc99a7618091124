/** Holds a database that is there against a backup of it, and changes nothing. */

import { compareFacts } from '../../databases/compare-facts.ts';
import { openRestoreTarget } from '../../databases/open-dump.ts';
import { LongshoreError } from '../../errors.ts';
import { openBackup } from './find-backup.ts';
import type { PlaceEnvironment } from './open-place.ts';
import { databaseOf, type RestoreJobOptions } from './restore.ts';

export interface ComparedBackup {
  /** Below the prefix of its job. */
  readonly key: string;
  /** Without password. */
  readonly database: string;
  readonly tables: number;
  /** Each as a sentence; none where the database holds what the backup does. */
  readonly problems: readonly string[];
}

/** @throws CHECK_FAILED where there is no such backup, or it does not say what it holds; the errors of store and database */
export async function compareBackup(
  options: Pick<RestoreJobOptions, 'from' | 'to' | 'clientFolder' | 'jobs'>,
  environment: PlaceEnvironment = {},
): Promise<ComparedBackup> {
  const { env = process.env, signal = new AbortController().signal } = environment;
  const database = databaseOf(options.to, env);
  await using found = await openBackup(options.from, environment);
  const { manifest } = found;
  if (manifest.dump === undefined) {
    throw new LongshoreError('CHECK_FAILED', `${manifest.key} does not say what it holds`, {
      hint: 'it is a file that another program dumped: restore it, or drill it with assertions',
    });
  }
  await using target = await openRestoreTarget(database, options);
  const { facts } = manifest.dump;
  const problems = compareFacts(facts, await target.facts(facts, signal));
  return { key: manifest.key, database: database.name, tables: facts.tables.length, problems };
}
