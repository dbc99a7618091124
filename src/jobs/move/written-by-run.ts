/** Asks journals whether what lies on the target was put there by this run, or by one of the same move before it. */

import { basename, dirname, join } from 'node:path';
import { Journal } from '../../engine/journal.ts';
import { runsWithFingerprint } from '../../engine/run-folder.ts';
import { LongshoreError } from '../../errors.ts';
import { BatchTasks } from './s3-batch-tasks.ts';
import type { Tally } from './tally.ts';

/**
 * What this run wrote to the targets of some objects: searched for at most once, when it is first asked for. That an
 * object was overwritten after it had been copied is rare, so it is a search and not an index.
 */
export class WrittenByRun {
  readonly #journal: Journal;
  readonly #targets: ReadonlyMap<string, string>;
  #etags: Map<string, Set<string>> | undefined;

  /** @param targets target keys by source key */
  constructor(journal: Journal, targets: ReadonlyMap<string, string>) {
    this.#journal = journal;
    this.#targets = targets;
  }

  /** Whether what the target of an object holds was put there by this run. */
  has(sourceKey: string, targetEtag: string): boolean {
    using byJobs = BatchTasks.openExisting(this.#journal.folder);
    if (byJobs?.wrote(sourceKey, targetEtag)) return true;
    this.#etags ??= this.#search();
    return this.#etags.get(sourceKey)?.has(targetEtag) ?? false;
  }

  #search(): Map<string, Set<string>> {
    const etags = new Map<string, Set<string>>();
    for (const stage of ['copy', 'sweep']) {
      for (const shard of this.#journal.finished({ stage }, 'desc')) {
        const { objects } = shard.outcome as Partial<Tally>;
        if (objects === undefined || objects.copied + objects.refreshed === 0) continue;
        for (const { object, target, outcome, targetEtag, etag } of this.#journal.details(shard.id)) {
          if (typeof object !== 'string' || this.#targets.get(object) !== target) continue;
          if (outcome !== 'copied' && outcome !== 'refreshed') continue;
          const known = etags.get(object) ?? new Set();
          etags.set(object, known.add(String(targetEtag ?? etag)));
        }
      }
    }
    return etags;
  }
}

/**
 * Of objects that only the target has, those that this run or an earlier one of the same move found or put there as
 * copies of their sources. Reads journals from their newest shard on until all are found.
 * @param targets target keys by source key
 * @returns source keys
 */
export function putThereByMove(runFolder: string, targets: ReadonlyMap<string, string>): Set<string> {
  const found = new Set<string>();
  const stateFolder = dirname(runFolder);
  const fingerprint = basename(runFolder).split('-').at(-1)!;
  for (const run of runsWithFingerprint(stateFolder, 'move', fingerprint)) {
    if (found.size === targets.size) return found;
    try {
      using journal = Journal.open(join(stateFolder, run), 'move', 'read');
      lookInto(journal, targets, found);
    } catch (error) {
      // A damaged journal of an earlier run proves nothing.
      if (!(error instanceof LongshoreError)) throw error;
    }
  }
  return found;
}

function lookInto(journal: Journal, targets: ReadonlyMap<string, string>, found: Set<string>): void {
  for (const stage of ['copy', 'sweep']) {
    for (const shard of journal.finished({ stage }, 'desc')) {
      if (found.size === targets.size) return;
      for (const { object, target, proof } of journal.details(shard.id)) {
        if (typeof object === 'string' && proof !== undefined && targets.get(object) === target)
          found.add(object);
      }
    }
  }
}
