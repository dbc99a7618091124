/** Where runs keep their journal and report: `.longshore/<run>/`, one folder a run. */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LongshoreError } from '../errors.ts';
import { Journal } from './journal.ts';

export const DEFAULT_STATE_FOLDER = '.longshore';

/** What a run is for, as text that is the same when the same is asked for again. */
export function fingerprintOf(job: string, what: unknown): string {
  return createHash('sha256')
    .update(`${job}\n${JSON.stringify(what)}`)
    .digest('hex')
    .slice(0, 12);
}

/** `move-20261121-010203-1a2b3c`: sorts by time. */
export function runName(job: string, fingerprint: string, nowMs: number): string {
  const time = new Date(nowMs).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `${job}-${time}-${suffixOf(fingerprint)}`;
}

/** What the names of the runs with this fingerprint end in. */
function suffixOf(fingerprint: string): string {
  return fingerprint.slice(0, 6);
}

/**
 * Names of the runs that may have this fingerprint, newest first. Journals of other runs are not opened: a damaged
 * one stands in nobody else's way.
 */
export function runsWithFingerprint(stateFolder: string, job: string, fingerprint: string): string[] {
  return listRuns(stateFolder, job).filter((name) => name.endsWith(`-${suffixOf(fingerprint)}`));
}

/** Names of the runs of a job, newest first. */
export function listRuns(stateFolder: string, job?: string): string[] {
  if (!existsSync(stateFolder)) return [];
  if (!statSync(stateFolder).isDirectory()) {
    throw new LongshoreError('CONFIG_INVALID', `${stateFolder} is not a folder`, {
      hint: 'name the folder of the runs with --state',
    });
  }
  return readdirSync(stateFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(stateFolder, entry.name, 'journal.sqlite')))
    .map((entry) => entry.name)
    .filter((name) => job === undefined || name.startsWith(`${job}-`))
    .sort()
    .reverse();
}

/**
 * Opens the unfinished run with this fingerprint, or begins one.
 * @throws RUN_LOCKED when another process works on it
 */
export function openRun(
  stateFolder: string,
  job: string,
  fingerprint: string,
  nowMs: number,
): { journal: Journal; run: string; resumed: boolean } {
  using _ = Journal.lockFolder(stateFolder);
  for (const run of runsWithFingerprint(stateFolder, job, fingerprint)) {
    const journal = Journal.open(join(stateFolder, run), job, 'read');
    const state = journal.getMeta('fingerprint') === fingerprint ? journal.getMeta('state') : undefined;
    journal[Symbol.dispose]();
    if (state === 'undoing') {
      throw new LongshoreError('CHECK_FAILED', `the run ${run} is being undone`, {
        hint: `finish that first: longshore undo ${run}`,
      });
    }
    // One that ended with failures goes on too: what failed is tried again.
    if (state !== 'running' && state !== 'failed') continue;
    return { journal: Journal.open(join(stateFolder, run), job, 'write'), run, resumed: true };
  }
  const run = runName(job, fingerprint, nowMs);
  const journal = Journal.open(join(stateFolder, run), job, 'write');
  journal.transaction(() => {
    journal.setMeta('fingerprint', fingerprint);
    journal.setMeta('startedMs', nowMs);
    journal.setMeta('state', 'running');
  });
  return { journal, run, resumed: false };
}

/**
 * The folder of a run by its name, or of the newest one of the job.
 * @throws RUN_NOT_FOUND
 */
export function findRun(stateFolder: string, job: string, run?: string): string {
  const runs = listRuns(stateFolder, job);
  const found = run === undefined ? runs[0] : runs.find((name) => name === run);
  if (found === undefined) {
    throw new LongshoreError(
      'RUN_NOT_FOUND',
      run === undefined ? `no ${job} run in ${stateFolder}` : `no run ${run} in ${stateFolder}`,
      { hint: '`longshore status` lists the runs; --state names another folder' },
    );
  }
  return join(stateFolder, found);
}
