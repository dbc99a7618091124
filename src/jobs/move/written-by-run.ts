/** Asks the journal whether what lies on the target was put there by this run. */

import type { Journal } from '../../engine/journal.ts';
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
