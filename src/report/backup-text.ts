/** What backups there are, and what of them goes, as a person reads it. */

import { formatBytes } from '../config/bytes.ts';
import { formatDuration } from '../config/duration.ts';
import { parseStoreUrl } from '../config/store-url.ts';
import { rowsIn } from '../databases/compare-facts.ts';
import type { ComparedBackup } from '../jobs/backup/compare-backup.ts';
import type { DrilledBackup as DrillResult } from '../jobs/backup/drill.ts';
import type { BackupList, ListedBackup } from '../jobs/backup/list.ts';
import type { BackupPlan } from '../jobs/backup/plan-backup.ts';
import type { PrunedBackup, PruneResult } from '../jobs/backup/prune.ts';
import type { RestoredBackup } from '../jobs/backup/restore.ts';
import type { BackupResult } from '../jobs/backup/run.ts';
import { momentOf } from '../jobs/backup/run-moment.ts';
import type { WatchResult } from '../jobs/backup/ship-watched.ts';

export function backupListText({ to, backups, unreadable, elsewhere, lastAttempt }: BackupList): string {
  const lines =
    backups.length === 0
      ? [`there are no backups in ${to}`]
      : table(
          ['key', 'when', 'of', 'tables', 'rows', 'size', 'state'],
          backups.map((backup) => [
            backup.key,
            when(backup),
            sourceOf(backup),
            backup.dump === undefined ? '' : count(backup.dump.tables),
            backup.dump === undefined ? '' : count(backup.dump.rows),
            formatBytes(backup.bytes),
            stateOf(backup),
          ]),
          NUMBERS,
        );
  for (const url of elsewhere) lines.push(`there are backups of another job in ${url}`);
  for (const text of unreadable) lines.push(`✗ ${text}`);
  if (lastAttempt?.ended === 'failed')
    lines.push(`✗ the newest attempt, of ${lastAttempt.at}, failed: ${lastAttempt.what}`);
  return lines.join('\n');
}

/** Columns that are aligned at their end. */
const NUMBERS: ReadonlySet<number> = new Set([3, 4, 5]);

function when({ takenAt, timeZone }: ListedBackup): string {
  const { date, time } = momentOf(Date.parse(takenAt), timeZone);
  return `${date} ${time} ${timeZone}`;
}

function sourceOf({ dump }: ListedBackup): string {
  return dump === undefined ? 'a file' : `${dump.product} ${dump.serverVersion} ${dump.database}`;
}

const SHOWN = 3;

function stateOf({ missing, files, drill }: ListedBackup): string {
  const whole =
    missing.length === 0
      ? 'all there'
      : `${count(missing.length)} of ${count(files)} objects missing: ${some(missing, ', ')}`;
  if (drill === undefined) return whole;
  const day = drill.at.slice(0, 10);
  const drilled = drill.ok
    ? `restored in ${formatDuration(drill.recoveryMs)} by the drill of ${day}`
    : `the drill of ${day} failed: ${some(drill.problems, '; ')}`;
  return `${whole}, ${drilled}`;
}

function some(texts: readonly string[], between: string): string {
  const more = texts.length - SHOWN;
  return texts.slice(0, SHOWN).join(between) + (more > 0 ? `${between}and ${count(more)} more` : '');
}

/** Of a backup that was taken, or a look at a folder. */
export function backupResultText(result: BackupResult): string {
  if (result.kind === 'shipped') return watchText(result.watched, result.to);
  const { key, manifest } = result.taken;
  const { dump, files, durationMs } = manifest;
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const tables = dump?.facts.tables ?? [];
  const lines = [
    `${key}: ${counted(tables.length, 'table')}, ${counted(rowsIn(dump?.facts), 'row')}, ${formatBytes(dump?.bytes ?? 0)} in ${formatBytes(bytes)}, in ${formatDuration(durationMs)}: in ${result.to}, and proven`,
  ];
  if (result.pruned !== undefined) lines.push(pruneText(result.pruned));
  return lines.join('\n');
}

function watchText({ shipped, left }: WatchResult, to: string): string {
  const { prefix } = parseStoreUrl(to);
  const lines = shipped.map(
    ({ key, bytes }) => `${key.slice(prefix.length)}: ${count(bytes)} bytes are in ${to}, and proven`,
  );
  if (left !== undefined) lines.push(`${left}; it is left alone`);
  return lines.length === 0 ? 'there is no file to upload' : lines.join('\n');
}

export function backupPlanText(plan: BackupPlan): string {
  const lines = [
    `${plan.database}: ${plan.server}, about ${formatBytes(plan.bytesEstimate)}`,
    `  by ${plan.client}`,
    `  to ${plan.target}${plan.makesBucket ? ', which is made' : ''}`,
  ];
  if (plan.next !== undefined) lines.push(`  at ${plan.next}`);
  for (const text of plan.notices) lines.push(`! ${text}`);
  return lines.join('\n');
}

export function restoreText(restored: RestoredBackup): string {
  const { key, database, tables, rows, restoreMs, compareMs, compared, notices } = restored;
  const lines = [`${key} is in ${database}, in ${formatDuration(restoreMs)}`];
  if (compared)
    lines.push(
      `${counted(tables, 'table')} with ${counted(rows, 'row')} are what the backup held, compared in ${formatDuration(compareMs)}`,
    );
  return [...lines, ...notices.map((text) => `! ${text}`)].join('\n');
}

export function comparedText({ key, database, tables, problems }: ComparedBackup): string {
  if (problems.length === 0) return `✓ ${database} holds what ${key} does: ${counted(tables, 'table')}`;
  return [`✗ ${database} is not what ${key} held:`, ...problems.map((text) => `  ${text}`)].join('\n');
}

export function drillText({
  key,
  ok,
  server,
  recoveryMs,
  compared,
  tables,
  rows,
  assertions,
  problems,
}: DrillResult): string {
  const asserted = assertions === 0 ? '' : `, ${counted(assertions, 'assertion')}`;
  const held = compared
    ? `${counted(tables, 'table')} with ${counted(rows, 'row')} as the backup held them`
    : 'another program dumped it, and what it held nobody counted';
  const lines = ok
    ? [
        `✓ ${key} is restored in ${server}: ${held}${asserted}`,
        `  from nothing to a database that answers: ${formatDuration(recoveryMs)}`,
      ]
    : [`✗ ${key} is not what it should be, restored in ${server}:`, ...problems.map((text) => `  ${text}`)];
  return lines.join('\n');
}

export function pruneText({ planned, refusals, backups }: PruneResult): string {
  const lines = table(
    ['key', 'size', ''],
    backups.map((backup) => [backup.key, formatBytes(backup.bytes), fateOf(backup, planned)]),
    new Set([1]),
  );
  const going = backups.filter(({ reasons }) => reasons.length === 0);
  if (planned) {
    const bytes = formatBytes(going.reduce((sum, backup) => sum + backup.bytes, 0));
    lines.push(
      `${counted(going.length, 'backup')} of ${bytes} would go, ${count(backups.length - going.length)} would stay`,
    );
    for (const text of refusals) lines.push(`✗ nothing goes now: ${text}`);
    return lines.join('\n');
  }
  const removed = going.map((backup) => backup.removed!);
  const gone = removed.filter(({ end }) => end === 'gone').length;
  const sum = (of: 'objects' | 'bytes' | 'markers'): number => removed.reduce((all, one) => all + one[of], 0);
  lines.push(
    `${counted(gone, 'backup')} gone: ${counted(sum('objects'), 'object')}, ${formatBytes(sum('bytes'))}; ${count(backups.length - gone)} there`,
  );
  if (sum('markers') > 0)
    lines.push(
      '! the bucket keeps versions: the bytes stay behind delete markers until its own rules clear them',
    );
  return lines.join('\n');
}

function fateOf({ reasons, good, removed }: PrunedBackup, planned: boolean): string {
  const broken = good ? '' : ' (cannot be relied on)';
  if (reasons.length > 0) return `stays${broken}: ${reasons.join(', ')}`;
  if (planned) return `goes${broken}`;
  if (removed?.end === 'gone') return 'gone';
  const until = removed?.heldUntil === undefined ? '' : ` until ${removed.heldUntil}`;
  return `${removed?.end === 'failed' ? '✗ ' : ''}left: ${removed?.why}${until}`;
}

function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  numbers: ReadonlySet<number>,
): string[] {
  if (rows.length === 0) return [];
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, at) => (numbers.has(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
      .join('  ')
      .trimEnd(),
  );
}

function counted(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? '' : 's'}`;
}

function count(n: number): string {
  return n.toLocaleString('en-US');
}
