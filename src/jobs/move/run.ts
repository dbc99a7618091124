/** Runs a move: opens what it works with, begins or resumes its run, makes its passes, sums up. */

import { rmSync } from 'node:fs';
import { withoutPassword } from '../../config/database-url.ts';
import type { Journal } from '../../engine/journal.ts';
import { LocalEngine } from '../../engine/local-engine.ts';
import { DEFAULT_STATE_FOLDER, openRun } from '../../engine/run-folder.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import type { MoveContext } from './context.ts';
import { moveFingerprint } from './fingerprint.ts';
import { type MoveEnvironment, openScope } from './open-scope.ts';
import { Passes } from './passes.ts';
import { writeReport } from './report.ts';
import { type MoveOptions, type MoveSettings, resolveMoveOptions } from './settings.ts';
import { settleRows } from './shard-record.ts';
import { type MoveSummary, summarize } from './summary.ts';

export interface MoveRunOptions extends MoveEnvironment {
  /** Where runs keep their journals. Default: `.longshore` in the working directory. */
  readonly stateFolder?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Moves objects and the rows that name them.
 *
 * May be called again after it failed, was aborted or its process died: it goes on where it stopped. Two calls for
 * the same move at once are refused.
 *
 * @param options what to move; see `docs/move.md`
 * @returns the summary; `summary.failures` is 0 when everything is where it should be
 * @throws {LongshoreError} CONFIG_INVALID, URL_INVALID, LOCATIONS_OVERLAP, RUN_LOCKED, TARGET_COLLISION,
 *   CHECK_FAILED and the errors of stores and databases
 * @example
 * ```ts
 * import { move } from 'longshore';
 * const summary = await move({
 *   from: 's3://legacy-s3/image/',
 *   to: 's3://production-s3/avatar/',
 *   rows: 'postgres://localhost/proddatabase#avatars.path',
 * });
 * ```
 */
export async function move(options: MoveOptions, run: MoveRunOptions = {}): Promise<MoveSummary> {
  const settings = resolveMoveOptions(options);
  const signal = run.signal ?? new AbortController().signal;
  const clock = run.clock ?? systemClock;
  const emit = run.emit ?? (() => undefined);
  await using opened = await openScope(settings, run, signal);
  const fingerprint = moveFingerprint(settings, run.env ?? process.env);
  const started = openRun(run.stateFolder ?? DEFAULT_STATE_FOLDER, 'move', fingerprint, clock.now());
  using journal = started.journal;
  if (!started.resumed) journal.setMeta('settings', redacted(settings));
  emit({ type: 'run-started', run: started.run, folder: journal.folder, resumed: started.resumed });
  const requestsBefore = opened.source.requests() + opened.target.requests();
  const context: MoveContext = { ...opened.scope, journal, engine: new LocalEngine(journal, clock) };
  let ended: boolean;
  try {
    await settleRows(context, signal);
    ended = await new Passes(context, signal).run();
    await settleRows(context, signal);
  } catch (error) {
    // Nothing was begun, and nothing is to go on.
    if (!started.resumed && error instanceof LongshoreError && error.code === 'TARGET_COLLISION') {
      journal[Symbol.dispose]();
      rmSync(journal.folder, { recursive: true, force: true });
      throw error;
    }
    throw inTheMiddle(error, journal);
  }
  const summary = summarize(context, {
    run: started.run,
    ended,
    requests: opened.source.requests() + opened.target.requests() - requestsBefore,
  });
  writeReport(journal, summary);
  journal.transaction(() => {
    journal.setMeta('summary', summary);
    journal.setMeta('state', summary.failures === 0 ? 'finished' : 'failed');
  });
  emit({ type: 'run-finished', tally: summary.total, seconds: summary.seconds });
  return summary;
}

/** The settings as the journal keeps them: without passwords. */
function redacted(settings: MoveSettings): MoveSettings {
  return { ...settings, rows: settings.rows.map(withoutPassword) };
}

/** A check that fails after something was done is a failure of the run. */
function inTheMiddle(error: unknown, journal: Journal): unknown {
  if (!(error instanceof LongshoreError)) return error;
  const { done } = journal.finished().next();
  if (done === true) return error;
  const { code, message, hint, cause, context } = error;
  return new LongshoreError(code, message, { hint, cause, context: { ...context, changed: true } });
}
