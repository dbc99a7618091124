/** Asks journals whether what lies on the target was put there by this run, or by one of the same move before it. */

import { basename, dirname, join } from 'node:path';
import { Journal } from '../../engine/journal.ts';
import { runsWithFingerprint } from '../../engine/run-folder.ts';
import { LongshoreError } from '../../errors.ts';
import { BatchTasks } from './s3-batch-tasks.ts';

/**
 * Reads the details of the shards that may hold the object. Only needed where an object was overwritten after it
 * had been copied, which is rare, so it is a search and not an index.
 */
export function targetWrittenByRun(
  journal: Journal,
  object: { readonly sourceKey: string; readonly targetKey: string },
  targetEtag: string,
): boolean {
  using byJobs = BatchTasks.openExisting(journal.folder);
  if (byJobs?.wrote(object.sourceKey, targetEtag)) return true;
  for (const stage of ['copy', 'sweep']) {
    for (const shard of journal.finished({ stage }, 'desc')) {
      for (const line of journal.details(shard.id)) {
        if (line['object'] !== object.sourceKey || line['target'] !== object.targetKey) continue;
        const written = line['outcome'] === 'copied' || line['outcome'] === 'refreshed';
        if (written && (line['targetEtag'] ?? line['etag']) === targetEtag) return true;
      }
    }
  }
  return false;
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
