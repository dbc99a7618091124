/** A plan as a person reads it. */

import { formatBytes } from '../config/bytes.ts';
import { formatDuration } from '../config/duration.ts';
import type { MovePlan } from '../jobs/move/plan.ts';
import { findingLines } from './finding-text.ts';

export function planText(plan: MovePlan): string {
  const { objects, proofs, time } = plan;
  const lines = [
    `${plan.from} → ${plan.to}, driven by ${plan.driver.by}: ${plan.driver.why}`,
    `  objects   ${n(objects.count)} (${formatBytes(objects.bytes)}); ${n(objects.toCopy)} to copy (${formatBytes(objects.bytesToCopy)}), ${n(objects.already)} already there`,
  ];
  if (objects.orphans !== undefined)
    lines.push(`  orphans   ${n(objects.orphans)} objects that no row names`);
  if (objects.excluded > 0) lines.push(`  excluded  ${n(objects.excluded)} by rules and filters`);
  if (objects.archived > 0) lines.push(`  archived  ${n(objects.archived)} to be restored first`);
  for (const column of plan.columns) {
    lines.push(
      `  rows      ${n(column.rows)} of about ${n(column.rowsEstimate)} in ${column.name}${column.indexed ? '' : ' (no index)'}`,
    );
  }
  if (plan.missing.count > 0) {
    lines.push(`  missing   ${n(plan.missing.count)} rows name an object that exists on neither side`);
    for (const { column, row, key } of plan.missing.listed) {
      lines.push(`            row ${row.join(', ') || 'without a key'} of ${column}: ${key}`);
    }
  }
  lines.push(
    `  proofs    ${Object.entries(proofs)
      .map(([kind, count]) => `${n(count)} ${PROOFS[kind as keyof typeof PROOFS]}`)
      .join(', ')}`,
    `  requests  ${plan.requests.map((request) => `${request.kind} ${n(request.count)}`).join(', ')}: $${plan.usd.toFixed(2)}`,
    `  time      at least ${formatDuration(time.floorSeconds * 1000)} at S3's limit of a prefix${plan.graceSeconds === undefined ? '; nothing is deleted' : `, and ${formatDuration(plan.graceSeconds * 1000)} of grace before objects leave the source`}`,
  );
  if (plan.collisions.count > 0)
    lines.push(`  ✗ ${n(plan.collisions.count)} objects cannot go to their target; the move would not start`);
  lines.push(...findingLines(plan.findings));
  return lines.join('\n');
}

const PROOFS = {
  etag: 'by ETag',
  etagInSameParts: 'by ETag, copied in the same parts',
  checksumOrBytes: 'by checksum or by reading both sides',
} as const;

function n(value: number): string {
  return value.toLocaleString('en-US');
}
