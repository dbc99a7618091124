/** The summary of a move as a person reads it. */

import { join } from 'node:path';
import { formatBytes } from '../config/bytes.ts';
import { formatDuration } from '../config/duration.ts';
import { REPORT_FILE } from '../jobs/move/report.ts';
import type { MoveSummary } from '../jobs/move/summary.ts';

/** @param stateFolder where the runs are, to name the report */
export function summaryText(summary: MoveSummary, stateFolder: string): string {
  const { total, left } = summary;
  const moved = total.objects.copied + total.objects.refreshed;
  const lines = [
    summary.failures === 0
      ? `done and proven in ${formatDuration(summary.seconds * 1000)}: ${summary.from} → ${summary.to}`
      : `ended with ${count(summary.failures)} failures after ${formatDuration(summary.seconds * 1000)}: ${summary.from} → ${summary.to}`,
    `  objects   ${count(moved)} copied (${formatBytes(total.bytesCopied)}), ${count(total.objects.already)} already there`,
    `  rows      ${count(total.rows.rewritten)} rewritten`,
    `  proofs    ${count(total.proofs.etag)} by ETag, ${count(total.proofs.checksum)} by checksum, ${count(total.proofs.bytes)} by reading both sides`,
    `  deleted   ${count(total.deletes.deleted)} from the source${total.deletes.absent > 0 ? `; ${count(total.deletes.absent)} were gone already` : ''}`,
    `  requests  ${count(summary.requests)}${moved > 0 ? ` (${(summary.requests / moved).toFixed(2)} per object)` : ''}`,
  ];
  const notes: [number, string][] = [
    [left.objects.orphan, 'objects that no row names were left in the source'],
    [left.rows.missing, 'rows name an object that exists on neither side'],
    [left.objects.repaired, 'rows named an object that only the target has; they name it there now'],
    [left.objects.collision, 'objects whose target holds other content were left alone'],
    [left.rows.raced, 'rows changed each time they were to be rewritten, or a trigger changes them back'],
    [left.rows.failed, 'rows could not be changed'],
    [left.objects.failed, 'objects failed'],
    [total.deletes.refused, 'objects could not be deleted'],
  ];
  for (const [n, text] of notes) if (n > 0) lines.push(`  ! ${count(n)} ${text}`);
  for (const failure of summary.failed)
    lines.push(`  ✗ ${failure.what}: ${failure.message} [${failure.code}]`);
  lines.push(`  report    ${join(stateFolder, summary.run, REPORT_FILE)}`);
  return lines.join('\n');
}

function count(n: number): string {
  return n.toLocaleString('en-US');
}
