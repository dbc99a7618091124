/** Says what a backup would do, after a look at database and bucket, and changes nothing. */

import { storeSettings } from '../../config/credentials-file.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { prepareDump } from '../../databases/open-dump.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { keysOfDay } from './claim.ts';
import { keyOf, nextIndex, parseTemplate } from './dated-keys.ts';
import { nextTimes } from './on-schedule.ts';
import { openPlace } from './open-place.ts';
import { momentOf } from './run-moment.ts';
import { type BackupJobOptions, resolveBackupOptions } from './settings.ts';
import { type BackupEnvironment, codecOf } from './take-backup.ts';
import { storedExtension } from './upload-stream.ts';

export interface BackupPlan {
  /** Without password. */
  readonly database: string;
  /** `PostgreSQL 15.19` */
  readonly server: string;
  /** `pg_dump 15.19`, and where it is. */
  readonly client: string;
  readonly bytesEstimate: number;
  /** Where it would be, if nobody else takes the number first. */
  readonly target: string;
  /** Whether there is no bucket, or folder, and one would be made. */
  readonly makesBucket: boolean;
  /** In ISO 8601 and UTC; of a schedule. */
  readonly next: string | undefined;
  readonly notices: readonly string[];
}

/** @throws CONFIG_INVALID, URL_INVALID, CHECK_FAILED; the errors of database and store */
export async function planBackup(
  options: BackupJobOptions,
  { env: given = process.env, clock = systemClock, signal = new AbortController().signal }: BackupEnvironment,
): Promise<BackupPlan> {
  const settings = resolveBackupOptions(options);
  if (settings.database === undefined) {
    throw new LongshoreError('CONFIG_INVALID', 'there is no plan of a watched file', {
      hint: 'a look at it says what it does; --plan is for --database',
    });
  }
  const { format, lockWait: lockWaitMs, timeZone, schedule } = settings;
  const { to, env } = await storeSettings(settings, given);
  const template = parseTemplate(settings.key);
  const codec = codecOf(settings);
  const database = parseDatabaseUrl(settings.database, env);
  await using place = await openPlace(to, { env, clock });
  const isSplit = format === 'split';
  const prepared = { ...settings, lockWaitMs, format: isSplit ? undefined : format };
  await using dump = await prepareDump(database, prepared, signal);
  const moment = momentOf(clock.now(), timeZone);
  const keys = await keysOrNone(() => keysOfDay(place, template, moment, signal));
  const extension = isSplit ? '/' : dump.extension + storedExtension(codec);
  const key = keyOf(template, moment, nextIndex(template, moment, keys ?? []), '') + extension;
  const nextMs = schedule === undefined ? undefined : nextTimes(schedule, timeZone)(clock.now());
  return {
    database: database.name,
    server: `${dump.server.product} ${dump.server.version}`,
    client: `${dump.client.name} ${dump.client.version} (${dump.client.path})`,
    bytesEstimate: dump.bytesEstimate,
    target: `${place.store.name}/${place.prefix}${key}`,
    makesBucket: keys === undefined,
    next: nextMs === undefined ? undefined : new Date(nextMs).toISOString(),
    notices: dump.notices,
  };
}

/** Undefined where there is no bucket yet. */
async function keysOrNone(list: () => Promise<string[]>): Promise<string[] | undefined> {
  try {
    return await list();
  } catch (error) {
    if (error instanceof LongshoreError && error.code === 'BUCKET_NOT_FOUND') return undefined;
    throw error;
  }
}
