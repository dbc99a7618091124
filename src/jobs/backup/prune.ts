/**
 * Takes away the backups that a policy does not keep: what their manifests name, and nothing else.
 *
 * Steps of one backup, and what a crash after each leaves: all of it is looked at (nothing is changed) → its files go (it is
 * not whole, and the next run takes the rest: what is kept does not depend on it) → the record of its drill goes (the
 * same) → its manifest goes.
 */

import { LongshoreError } from '../../errors.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import { readLastAttempt } from './last-attempt.ts';
import { type DrilledBackup, readDrilled } from './list.ts';
import { openPlace, type PlaceEnvironment } from './open-place.ts';
import { type RemovedBackup, removeBackup } from './remove-backup.ts';
import type { BackupPlace } from './repository.ts';
import { parseRetention, plan, type RetentionPolicy } from './retention.ts';

export interface PruneOptions {
  /** `s3://bucket/prefix/` or `file:///folder/` */
  readonly to: string;
  /** `last=3,daily=7,weekly=4,monthly=12,yearly=2` */
  readonly keep: string;
  /** Say what would go, and change nothing. */
  readonly plan?: boolean | undefined;
}

export interface PrunedBackup {
  readonly key: string;
  /** In ISO 8601 and UTC. */
  readonly takenAt: string;
  /** As stored. */
  readonly bytes: number;
  /** Whether all of it is there, and its newest drill did not fail. */
  readonly good: boolean;
  /** Why it is kept; empty for one that goes. */
  readonly reasons: readonly string[];
  /** Of one that goes; not there in a plan. */
  readonly removed?: RemovedBackup;
}

export interface PruneResult {
  /** Whether nothing was to be changed. */
  readonly planned: boolean;
  /** Why nothing may go now, each as a sentence; of plans alone. */
  readonly refusals: readonly string[];
  /** From the oldest to the newest. */
  readonly backups: readonly PrunedBackup[];
}

/** @throws CONFIG_INVALID, URL_INVALID, CHECK_FAILED; the errors of the store */
export async function pruneBackups(
  { to, keep, plan = false }: PruneOptions,
  environment: PlaceEnvironment = {},
): Promise<PruneResult> {
  const policy = parseRetention(keep);
  await using place = await openPlace(to, environment);
  return await prunePlace(place, policy, { ...environment, plan });
}

/**
 * The same where the bucket is open, as after a backup.
 * @throws CHECK_FAILED where the newest attempt failed, or something there cannot be read; nothing is changed then
 */
export async function prunePlace(
  place: BackupPlace,
  policy: RetentionPolicy,
  options: {
    readonly plan?: boolean;
    readonly clock?: Clock | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<PruneResult> {
  const { plan: planned = false, clock = systemClock, signal } = options;
  const { backups, unreadable } = await readDrilled(place, signal);
  const refusals = [...(await failedAttempt(place, backups, signal)), ...unreadable];
  if (refusals.length > 0 && !planned) {
    throw new LongshoreError('CHECK_FAILED', `nothing goes: ${refusals.join('; ')}`, {
      hint: 'see to it that a backup succeeds and that all manifests can be read; --plan says what would go',
    });
  }
  const verdicts = plan(backups.map(candidateOf), policy);
  const staying = new Set(
    verdicts.flatMap(({ backup, reasons }) => (reasons.length > 0 ? keysOf(backup.stored) : [])),
  );
  const result: PrunedBackup[] = [];
  for (const { backup, reasons } of verdicts) {
    const { manifest } = backup.stored;
    const goes = reasons.length === 0 && !planned;
    result.push({
      key: manifest.key,
      takenAt: manifest.takenAt,
      bytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
      good: backup.good,
      reasons,
      ...(goes ? { removed: await removeBackup(place, backup.stored, { staying, clock, signal }) } : {}),
    });
  }
  return { planned, refusals, backups: result };
}

function candidateOf(stored: DrilledBackup) {
  const { takenAt, timeZone, dump } = stored.manifest;
  return {
    stored,
    id: stored.manifestKey,
    atMs: Date.parse(takenAt),
    timeZone,
    source: dump === undefined ? 'files' : `${dump.engine} ${dump.database}`,
    good: isGood(stored),
  };
}

/** One that a drill could not bring back is none to rely on. */
function isGood({ missing, drill }: DrilledBackup): boolean {
  return missing.length === 0 && drill?.ok !== false;
}

function keysOf({ manifest }: DrilledBackup): string[] {
  const files = manifest.files.map(({ key }) => key);
  return manifest.globals === undefined ? files : [...files, manifest.globals];
}

async function failedAttempt(
  place: BackupPlace,
  backups: readonly DrilledBackup[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const attempt = await readLastAttempt(place, signal);
  if (attempt?.ended !== 'failed') return [];
  const failedMs = Date.parse(attempt.at);
  const made = backups.some((backup) => isGood(backup) && Date.parse(backup.manifest.takenAt) > failedMs);
  return made ? [] : [`the newest attempt, of ${attempt.at}, failed: ${attempt.what}`];
}
