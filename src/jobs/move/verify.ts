/**
 * Reads bucket and tables again and proves that every row names an object that exists, and that nothing was deleted
 * whose copy is not there.
 */

import { basename, join } from 'node:path';
import { Journal } from '../../engine/journal.ts';
import { DEFAULT_STATE_FOLDER, findRun, runsWithFingerprint } from '../../engine/run-folder.ts';
import { type MoveEnvironment, openScope } from './open-scope.ts';
import { moveFingerprint } from './run.ts';
import { type MoveOptions, resolveMoveOptions } from './settings.ts';
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
  const folder = runFolder(environment, moveFingerprint(settings));
  await using opened = await openScope(settings, environment, signal);
  const { scope } = opened;
  const violations = new Violations();
  const rows = await verifyRows(scope, violations, signal);
  using journal = folder === undefined ? undefined : Journal.open(folder, 'move', 'read');
  const state = journal?.getMeta('state');
  const goesForward = journal !== undefined && state !== 'undoing' && state !== 'undone';
  const moved = goesForward ? await verifyJournal(scope, journal, violations, signal) : NO_JOURNAL;
  return {
    ...rows,
    ...moved,
    violations: violations.listed,
    violationsCount: violations.count,
    run: goesForward && folder !== undefined ? basename(folder) : undefined,
  };
}

function runFolder(environment: VerifyOptions, fingerprint: string): string | undefined {
  const stateFolder = environment.stateFolder ?? DEFAULT_STATE_FOLDER;
  if (environment.run !== undefined) return findRun(stateFolder, 'move', environment.run);
  for (const run of runsWithFingerprint(stateFolder, 'move', fingerprint)) {
    using journal = Journal.open(join(stateFolder, run), 'move', 'read');
    if (journal.getMeta('fingerprint') === fingerprint) return journal.folder;
  }
  return undefined;
}
