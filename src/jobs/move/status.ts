/** How far runs are, read from their journals, also while a process works on them. */

import { join } from 'node:path';
import { Journal } from '../../engine/journal.ts';
import { listRuns } from '../../engine/run-folder.ts';
import type { MoveSettings } from './settings.ts';
import { addTally, emptyTally, type Tally } from './tally.ts';

export interface StageCounts {
  readonly stage: string;
  readonly open: number;
  readonly done: number;
  readonly failed: number;
}

export interface RunStatus {
  readonly run: string;
  /** `running` also stands for a run that was stopped and can go on. */
  readonly state: 'running' | 'finished' | 'undoing' | 'undone';
  readonly from: string;
  readonly to: string;
  readonly pass: number;
  readonly startedMs: number;
  readonly stages: readonly StageCounts[];
  readonly total: Tally;
  /** When moved objects may leave the source, where that lies ahead. */
  readonly deletionDueMs?: number | undefined;
}

const STAGES = ['copy', 'sweep', 'delete', 'undo-objects', 'undo-delete'];

/** Newest first. */
export function moveStatus(stateFolder: string): RunStatus[] {
  return listRuns(stateFolder, 'move').map((run) => {
    using journal = Journal.open(join(stateFolder, run), 'move', 'read');
    return statusOf(journal, run);
  });
}

function statusOf(journal: Journal, run: string): RunStatus {
  const settings = journal.getMeta('settings') as Partial<MoveSettings> | undefined;
  const pass = Number(journal.getMeta('pass') ?? 1);
  const total = emptyTally();
  for (const shard of journal.finished()) {
    if (shard.state === 'done' && !shard.stage.startsWith('undo')) addTally(total, shard.outcome as Tally);
  }
  const due = journal.getMeta(`deletionDueMs:${pass}`);
  return {
    run,
    state: (journal.getMeta('state') ?? 'running') as RunStatus['state'],
    from: settings?.from ?? '',
    to: settings?.to ?? '',
    pass,
    startedMs: Number(journal.getMeta('startedMs') ?? 0),
    stages: STAGES.map((stage) => ({ stage, ...journal.counts(stage) })).filter(
      ({ open, done, failed }) => open + done + failed > 0,
    ),
    total,
    ...(due === undefined ? {} : { deletionDueMs: Number(due) }),
  };
}
