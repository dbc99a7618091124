/** The run's report: every object and row with its outcome, as compressed NDJSON, and the summary as JSON. */

import { closeSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Journal } from '../../engine/journal.ts';
import type { MoveSummary } from './summary.ts';

export const REPORT_FILE = 'report.ndjson.gz';
export const SUMMARY_FILE = 'summary.json';

/**
 * Writes both files into the run's folder. The journal keeps the details of each shard as a gzip member; members
 * put one after another are a gzip file, so that nothing is compressed twice.
 */
export function writeReport(journal: Journal, summary: MoveSummary): void {
  const path = join(journal.folder, REPORT_FILE);
  const file = openSync(`${path}.part`, 'w');
  try {
    for (const shard of journal.finished()) {
      const packed = journal.packedDetails(shard.id);
      if (packed !== undefined) writeFileSync(file, packed);
    }
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.part`, path);
  writeFileSync(join(journal.folder, SUMMARY_FILE), `${JSON.stringify(summary, undefined, 2)}\n`);
}
