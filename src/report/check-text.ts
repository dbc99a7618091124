/** The result of a check as a person reads it. */

import type { CheckResult } from '../jobs/move/check.ts';
import type { StoreCapabilities } from '../stores/object-store.ts';
import { findingLines } from './finding-text.ts';

export function checkText(result: CheckResult): string {
  const lines = [`${result.from} → ${result.to}`];
  lines.push(...findingLines(result.findings));
  if (result.findings.length === 0) lines.push('  nothing found');
  for (const column of result.columns) {
    const key = column.primaryKey.map(({ name }) => name).join(', ') || 'none';
    lines.push(
      `  ${column.name}: ${column.dataType}, about ${column.rowsEstimate.toLocaleString('en-US')} rows, key ${key}, ${column.indexed ? 'indexed' : 'not indexed'}`,
    );
  }
  lines.push(...capabilityLines(result.source?.capabilities, result.target?.capabilities));
  for (const text of result.fallbacks) lines.push(`  note: ${text}`);
  lines.push(result.errors === 0 ? 'ready' : `${result.errors} errors: the move would not start`);
  return lines.join('\n');
}

function capabilityLines(
  source: StoreCapabilities | undefined,
  target: StoreCapabilities | undefined,
): string[] {
  if (source === undefined && target === undefined) return [];
  const rows: [string, (can: StoreCapabilities) => string][] = [
    ['copy if the target is absent', (can) => yes(can.conditionalCopy)],
    ['copy if the source has this ETag', (can) => yes(can.conditionalCopySource)],
    ['put if absent', (can) => yes(can.conditionalPut)],
    ['delete if it has this ETag', (can) => can.conditionalDelete],
    ['server-side copy, part copy', (can) => `${yes(can.serverSideCopy)}, ${yes(can.partCopy)}`],
    ['tags, ACLs, checksums', (can) => `${yes(can.tags)}, ${yes(can.acl)}, ${yes(can.checksums)}`],
    ['ETag', (can) => (can.etag === 'md5' ? 'MD5 of the content' : 'says nothing')],
    [
      'listing',
      (can) => `${can.listing.bytewise ? 'by bytes' : 'unordered'}, url encoding ${can.listing.urlEncoding}`,
    ],
  ];
  const cell = (can: StoreCapabilities | undefined, text: (can: StoreCapabilities) => string): string =>
    (can === undefined ? 'not known' : text(can)).padEnd(32);
  return [
    `  ${''.padEnd(34)}${'source'.padEnd(32)}target`,
    ...rows.map(
      ([label, text]) => `  ${label.padEnd(34)}${cell(source, text)}${cell(target, text).trimEnd()}`,
    ),
  ];
}

function yes(value: boolean): string {
  return value ? 'yes' : 'no';
}
