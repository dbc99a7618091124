/** How far runs are, read from their journals, also while a process works on them. */

import { join } from 'node:path';
import { Journal } from '../../engine/journal.ts';
import { listRuns } from '../../engine/run-folder.ts';
import { LongshoreError } from '../../errors.ts';
import type { MoveSettings } from './settings.ts';
import type { MoveSummary } from './summary.ts';
import { addTally, emptyTally, type Tally } from './tally.ts';

export interface StageCounts {
  readonly stage: string;
  /** Shards that are not begun, or under way. */
  readonly open: number;
  readonly done: number;
  readonly failed: number;
}

export interface RunStatus {
  readonly run: string;
  /**
   * - `running`: a process works on it
   * - `stopped`: none does, and it is not finished; the same command goes on
   * - `failed`: it ended with failures; the same command tries them again
   * - `unreadable`: its journal cannot be opened, as `problem` says
   */
  readonly state: 'running' | 'stopped' | 'failed' | 'finished' | 'undoing' | 'undone' | 'unreadable';
  readonly from: string;
  readonly to: string;
  readonly pass: number;
  readonly startedMs: number;
  /** When a shard was recorded last. */
  readonly lastRecordedMs?: number | undefined;
  readonly finishedMs?: number | undefined;
  readonly stages: readonly StageCounts[];
  readonly total: Tally;
  /** Objects of the pass, as counted when it was laid out. */
  readonly objects?: number | undefined;
  /** When moved objects may leave the source, where that lies ahead. */
  readonly deletionDueMs?: number | undefined;
  readonly problem?: string | undefined;
}

type RecordedState = 'running' | 'failed' | 'finished' | 'undoing' | 'undone';

const STAGES = ['copy', 'sweep', 'delete', 'undo-objects', 'undo-delete'];

/**
 * The runs of a state folder, newest first. A journal that cannot be read does not hide the others.
 *
 * @example
 * ```ts
 * import { moveStatus } from 'longshore';
 * for (const { run, state, total } of moveStatus('.longshore')) console.log(run, state, total.objects.copied);
 * ```
 */
export function moveStatus(stateFolder: string): RunStatus[] {
  return listRuns(stateFolder, 'move').map((run) => {
    try {
      using journal = Journal.open(join(stateFolder, run), 'move', 'read');
      return statusOf(journal, run);
    } catch (error) {
      if (!(error instanceof LongshoreError)) throw error;
      return unreadable(run, error.message);
    }
  });
}

function statusOf(journal: Journal, run: string): RunStatus {
  const settings = journal.getMeta('settings') as Partial<MoveSettings> | undefined;
  const recorded = (journal.getMeta('state') ?? 'running') as RecordedState;
  const state = stateNow(recorded, Journal.isLocked(journal.folder));
  const pass = Number(journal.getMeta('pass') ?? 1);
  const startedMs = Number(journal.getMeta('startedMs') ?? 0);
  const summary = journal.getMeta('summary') as MoveSummary | undefined;
  const objects = journal.getMeta(`objects:${pass}`);
  const due = journal.getMeta(`deletionDueMs:${pass}`);
  const [last] = journal.finished({}, 'desc');
  return {
    run,
    state,
    from: settings?.from ?? '',
    to: settings?.to ?? '',
    pass,
    startedMs,
    ...(last === undefined ? {} : { lastRecordedMs: last.finishedMs }),
    ...(recorded === 'running' || summary === undefined
      ? {}
      : { finishedMs: startedMs + summary.seconds * 1000 }),
    stages: STAGES.map((stage) => ({ stage, ...journal.counts(stage) })).filter(
      ({ open, done, failed }) => open + done + failed > 0,
    ),
    // The summary of a finished run has the sum; else every shard is read, which takes a second for a million objects.
    total: state === 'finished' && summary !== undefined ? summary.total : totalOf(journal),
    ...(objects === undefined ? {} : { objects: Number(objects) }),
    ...(due === undefined ? {} : { deletionDueMs: Number(due) }),
  };
}

function stateNow(recorded: RecordedState, locked: boolean): RunStatus['state'] {
  if (recorded === 'running') return locked ? 'running' : 'stopped';
  return recorded === 'failed' && locked ? 'running' : recorded;
}

function totalOf(journal: Journal): Tally {
  const total = emptyTally();
  for (const shard of journal.finished()) {
    if (shard.state === 'done' && !shard.stage.startsWith('undo')) addTally(total, shard.outcome as Tally);
  }
  return total;
}

function unreadable(run: string, problem: string): RunStatus {
  return {
    run,
    state: 'unreadable',
    from: '',
    to: '',
    pass: 0,
    startedMs: 0,
    stages: [],
    total: emptyTally(),
    problem,
  };
}
