/**
 * Reads bucket and tables again and proves that every row names an object that exists, and that nothing was deleted
 * whose copy is not there.
 */

import { basename, join } from 'node:path';
import { Journal } from '../../engine/journal.ts';
import { DEFAULT_STATE_FOLDER, findRun, runsWithFingerprint } from '../../engine/run-folder.ts';
import { moveFingerprint } from './fingerprint.ts';
import { type MoveEnvironment, openScope } from './open-scope.ts';
import { type MoveOptions, resolveMoveOptions } from './settings.ts';
import { TargetClaims } from './target-claims.ts';
import { type JournalVerified, verifyJournal } from './verify-journal.ts';
import { type RowsVerified, verifyRows } from './verify-rows.ts';
import { type Violation, Violations } from './violations.ts';

export interface VerifyOptions extends MoveEnvironment {
  readonly stateFolder?: string | undefined;
  /** The run whose journal is checked; the newest one of this move where absent. */
  readonly run?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface VerifyResult extends RowsVerified, JournalVerified {
  /** At most 1,000 of them. */
  readonly violations: readonly Violation[];
  /** All of them, also those not listed. */
  readonly violationsCount: number;
  /** The run whose journal was checked; undefined where there is none, or where it is being undone. */
  readonly run: string | undefined;
}

const NO_JOURNAL: JournalVerified = {
  movedChecked: 0,
  deletionsChecked: 0,
  overwrittenSince: 0,
  goneSince: 0,
};

/**
 * Proves the result of a move, or finds where it does not hold; also while a service is at work. Changes nothing,
 * except that marker objects `.longshore-probe-…` come and go under both prefixes where they may.
 *
 * @returns counts and violations; `violationsCount` is 0 when everything holds
 * @throws {LongshoreError} CONFIG_INVALID, RUN_NOT_FOUND for a run that was named, and the errors of stores and databases
 * @example
 * ```ts
 * import { verifyMove } from 'longshore';
 * const { violations } = await verifyMove({ from: 's3://legacy/image/', to: 's3://production/avatar/' });
 * for (const { key, what } of violations) console.log(key, what);
 * ```
 */
export async function verifyMove(
  options: MoveOptions,
  environment: VerifyOptions = {},
): Promise<VerifyResult> {
  const signal = environment.signal ?? new AbortController().signal;
  const settings = resolveMoveOptions(options);
  const folders = runFolders(environment, moveFingerprint(settings, environment.env ?? process.env));
  await using opened = await openScope(settings, environment, signal);
  const { scope } = opened;
  const violations = new Violations();
  const rows = await verifyRows(scope, violations, signal);
  const moved = { ...NO_JOURNAL };
  let run: string | undefined;
  // Newest first: of an object that several runs moved, the last word counts.
  using newest = new TargetClaims();
  for (const folder of folders) {
    using journal = Journal.open(folder, 'move', 'read');
    const state = journal.getMeta('state');
    if (state === 'undoing' || state === 'undone') continue;
    run ??= basename(folder);
    const verified = await verifyJournal(scope, journal, { violations, newest }, signal);
    for (const name of Object.keys(moved) as (keyof JournalVerified)[]) moved[name] += verified[name];
  }
  return { ...rows, ...moved, violations: violations.listed, violationsCount: violations.count, run };
}

/** The run that is asked for, or every run of the move. */
function runFolders(environment: VerifyOptions, fingerprint: string): string[] {
  const stateFolder = environment.stateFolder ?? DEFAULT_STATE_FOLDER;
  if (environment.run !== undefined) return [findRun(stateFolder, 'move', environment.run)];
  return runsWithFingerprint(stateFolder, 'move', fingerprint)
    .map((run) => join(stateFolder, run))
    .filter((folder) => {
      using journal = Journal.open(folder, 'move', 'read');
      return journal.getMeta('fingerprint') === fingerprint;
    });
}
