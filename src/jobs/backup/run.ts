/** Runs a backup job: once or by its schedule, with what follows a backup: retention, and word of a failure. */

import { storeSettings } from '../../config/credentials-file.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { messageOf } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { nextTimes, runOnSchedule } from './on-schedule.ts';
import { openPlace } from './open-place.ts';
import { type PruneResult, prunePlace } from './prune.ts';
import { parseRetention } from './retention.ts';
import { momentOf } from './run-moment.ts';
import { runScheduled } from './run-scheduled.ts';
import { type BackupJobOptions, type BackupSettings, resolveBackupOptions } from './settings.ts';
import { shipWatched, type WatchResult } from './ship-watched.ts';
import { type BackupEnvironment, type TakenBackup, takeBackup } from './take-backup.ts';
import { checkWebhook, failureNote, notifyFailure } from './webhook.ts';

export type BackupResult =
  | { readonly kind: 'shipped'; readonly to: string; readonly watched: WatchResult }
  | {
      readonly kind: 'taken';
      readonly to: string;
      readonly taken: TakenBackup;
      /** Undefined where nothing says what is kept. */
      readonly pruned: PruneResult | undefined;
    };

/**
 * Once, or with a schedule until it is stopped.
 * @param onResult called after each backup, and each look at a folder
 * @throws CONFIG_INVALID, URL_INVALID, CHECK_FAILED; without a schedule the error of the backup; with one the signal's
 * reason
 */
export async function runBackup(
  options: BackupJobOptions,
  environment: BackupEnvironment,
  onResult: (result: BackupResult) => void,
): Promise<void> {
  const settings = resolveBackupOptions(options);
  const { env: given = process.env, clock = systemClock, emit = () => undefined } = environment;
  const { signal = new AbortController().signal } = environment;
  const { to, env } = await storeSettings(settings, given);
  const { schedule: pattern, timeZone, webhook, keep } = settings;
  if (webhook !== undefined) checkWebhook(webhook);
  if (keep !== undefined) parseRetention(keep);
  const notice = (text: string): void => emit({ type: 'notice', text });
  const source = sourceOf(settings, env);
  const once = async (own: AbortSignal): Promise<void> => {
    try {
      onResult(await runOnce({ ...settings, to }, { ...environment, env, signal: own }));
    } catch (error) {
      if (!own.aborted && webhook !== undefined) {
        const why = await notifyFailure(webhook, failureNote(source, error, clock.now()), own);
        if (why !== undefined) notice(why);
      }
      throw error;
    }
  };
  if (pattern === undefined) {
    await once(signal);
    return;
  }
  const nextMs = nextTimes(pattern, timeZone)(clock.now());
  if (nextMs !== undefined) {
    const { date, time } = momentOf(nextMs, timeZone);
    emit({ type: 'started', what: `the schedule ${pattern}: next at ${date} ${time} ${timeZone}` });
  }
  if (settings.watch !== undefined) {
    // Each host has a folder of its own. What goes wrong once is told, and tried again at the next time.
    const look = async (): Promise<void> => {
      try {
        await once(signal);
      } catch (error) {
        signal.throwIfAborted();
        notice(messageOf(error));
      }
    };
    await runOnSchedule({ pattern, timeZone, clock }, look, signal);
    return;
  }
  await using place = await openPlace(to, { env, clock });
  for (const text of (await place.makeBucket(signal)).notices) notice(text);
  const { jitter: jitterMs } = settings;
  await runScheduled(
    { pattern, timeZone, jitterMs, clock, place, source, notice },
    (_, own) => once(own),
    signal,
  );
}

/** Without password. */
function sourceOf({ database, watch }: BackupSettings, env: NonNullable<BackupEnvironment['env']>): string {
  return database === undefined ? watch! : parseDatabaseUrl(database, env).name;
}

async function runOnce(
  settings: BackupSettings & { readonly to: string },
  environment: BackupEnvironment,
): Promise<BackupResult> {
  const { to, watch, database, keep, log, key, timeZone, settle } = settings;
  const { env, clock, signal, emit } = environment;
  if (watch !== undefined) {
    const notice = (text: string): void => emit?.({ type: 'notice', text });
    const watched = await shipWatched(
      { watch, to, key, timeZone, log, settle },
      { env, clock, signal, notice },
    );
    return { kind: 'shipped', to, watched };
  }
  const { lockWait: lockWaitMs, ...options } = settings;
  const taken = await takeBackup({ ...options, database: database!, lockWaitMs }, environment);
  if (keep === undefined) return { kind: 'taken', to, taken, pruned: undefined };
  await using place = await openPlace(to, { env, clock });
  const pruned = await prunePlace(place, parseRetention(keep), { clock, signal });
  return { kind: 'taken', to, taken, pruned };
}
