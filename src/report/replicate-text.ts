/** A replication as a person reads it: its progress, its summary, its plan. */

import { formatBytes } from '../config/bytes.ts';
import { formatDuration } from '../config/duration.ts';
import type { ReplicateCheck } from '../jobs/replicate/check.ts';
import type { ReplicateListener } from '../jobs/replicate/events.ts';
import type { ReplicatePlan } from '../jobs/replicate/plan.ts';
import type { ReplicateSummary } from '../jobs/replicate/run.ts';
import type { ReplicateStatus, TableStatistics } from '../jobs/replicate/status.ts';
import type { VerifiedReplica } from '../jobs/replicate/verify.ts';
import { findingLines } from './finding-text.ts';

/** Listens, and writes a line for what is worth one. */
export function replicateReporter(
  form: 'terminal' | 'ndjson',
  stream: { write(text: string): unknown },
): ReplicateListener {
  if (form === 'ndjson') {
    return (event) => stream.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
  }
  return (event) => {
    switch (event.type) {
      case 'notice':
        stream.write(`note: ${event.text}\n`);
        break;
      case 'load-started':
        stream.write(
          `loading ${n(event.tables)} tables in ${n(event.chunks)} chunks${event.chunksKept > 0 ? `; ${n(event.chunksKept)} were loaded before` : ''}\n`,
        );
        break;
      case 'chunk-loaded':
        if (event.rows > 0)
          stream.write(
            `  ${event.schema}.${event.table}: ${n(event.rows)} rows, ${formatBytes(event.bytes)}\n`,
          );
        break;
      case 'load-finished':
        stream.write(`loaded ${n(event.rows)} rows${intoFiles(event.files)}, as of ${event.lsn}\n`);
        break;
      case 'following':
        stream.write(`following the changes from ${event.fromLsn}\n`);
        break;
      case 'epoch-landed':
        stream.write(
          `  epoch ${event.epoch}: ${n(event.changes)} changes${event.files > 0 ? ` in ${n(event.files)} files` : ''}, ${formatBytes(event.bytes)}, up to ${event.toLsn}; ${formatBytes(event.lagBytes)} behind\n`,
        );
    }
  };
}

export function replicateText(summary: ReplicateSummary): string {
  return [
    `landed up to ${summary.lsn} (epoch ${summary.epoch}) in ${formatDuration(summary.seconds * 1000)}`,
    `  loaded    ${n(summary.loaded.rows)} rows${intoFiles(summary.loaded.files)} (${formatBytes(summary.loaded.bytes)})`,
    `  changes   ${n(summary.changes)}`,
  ].join('\n');
}

export function replicaVerifiedText({ lsn, into, tables, differences }: VerifiedReplica): string {
  const stray = tables.reduce((sum, { strayFilesCount = 0 }) => sum + strayFilesCount, 0);
  const rowsDiffer = `${n(differences - stray)} rows differ`;
  const lines = [
    differences === 0
      ? `${into === 'database' ? 'the tables of both databases' : 'files and tables'} are the same, as of ${lsn}`
      : `${stray === 0 ? rowsDiffer : `${rowsDiffer}, ${n(stray)} files are in no manifest`}, as of ${lsn}`,
  ];
  for (const verified of tables) {
    const { schema, table, rows, differences: listed, differencesCount } = verified;
    const { strayFiles = [], strayFilesCount = 0 } = verified;
    lines.push(
      `  ${differencesCount + strayFilesCount === 0 ? '✓' : '✗'} ${schema}.${table}: ${n(rows)} rows`,
    );
    for (const { key, what } of listed) lines.push(`      ${key} ${what}`);
    if (differencesCount > listed.length) lines.push(`      … ${n(differencesCount - listed.length)} more`);
    for (const key of strayFiles) lines.push(`      ${key} is in no manifest`);
    if (strayFilesCount > strayFiles.length)
      lines.push(`      … ${n(strayFilesCount - strayFiles.length)} more files`);
  }
  return lines.join('\n');
}

export function replicateCheckText({ from, to, findings, errors }: ReplicateCheck): string {
  return [
    `${from} → ${to}`,
    ...findingLines(findings),
    errors === 0 ? 'ready' : `${n(errors)} errors: the replication would not start`,
  ].join('\n');
}

export function replicatePlanText(plan: ReplicatePlan): string {
  const lines = [`${plan.from} → ${plan.to}, ${plan.mode}`];
  for (const { name, rowsEstimate, bytes, files, chunks, columns } of plan.tables) {
    const parts = chunks === undefined ? `${n(files)} files` : `${n(chunks)} chunks`;
    lines.push('', `${name}: about ${n(rowsEstimate)} rows, ${formatBytes(bytes)}, ${parts}`);
    for (const { name: column, type, parquet, duckdb, unfit } of columns) {
      const aside = unfit === undefined ? '' : `; to the side column: ${unfit}`;
      lines.push(`  ${column.padEnd(24)} ${type.padEnd(28)} ${duckdb ?? parquet}${aside}`);
    }
  }
  if (plan.notices !== undefined) lines.push('', ...plan.notices.map((notice) => `  note: ${notice}`));
  for (const { what, fix } of plan.problems) lines.push('', `  ✗ ${what}`, `    → ${fix}`);
  return lines.join('\n');
}

/** Nothing for a replica that is not made of files. */
function intoFiles(files: number): string {
  return files > 0 ? ` into ${n(files)} files` : '';
}

function n(value: number): string {
  return value.toLocaleString('en-US');
}

export function replicateStatusText(status: ReplicateStatus): string {
  const { job, epoch, lsn, lastCommitMs, server, verified, lastError } = status;
  const commit = lastCommitMs === undefined ? '' : `, committed ${iso(lastCommitMs)}`;
  const lines = [
    lsn === undefined ? `${job}: nothing is landed` : `${job}: epoch ${epoch}, up to ${lsn}${commit}`,
  ];
  if (server !== undefined) {
    const { lagBytes, lagSeconds, slot, retainedBytes } = server;
    const seconds = lagSeconds === undefined ? '' : `, ${formatDuration(lagSeconds * 1000)}`;
    lines.push(
      `  ${formatBytes(lagBytes)}${seconds} behind; slot ${slot}, the server keeps ${formatBytes(retainedBytes)} for it`,
    );
  }
  if (verified !== undefined) lines.push(`  verified ${iso(verified.atMs)}, as of ${verified.lsn}`);
  if (lastError !== undefined)
    lines.push(`  ended ${iso(lastError.atMs)}: ${lastError.message} [${lastError.code}]`);
  if (status.tables.length > 0) lines.push(...tableLines(status.tables));
  return lines.join('\n');
}

function tableLines(tables: readonly TableStatistics[]): string[] {
  const head = [
    ...['table', 'state', 'loaded', 'inserts', 'updates', 'deletes', 'DDLs', 'files', 'size'],
    ...['last LSN', 'verified'],
  ];
  const rows = tables.map((table) => [
    `${table.schema}.${table.table}`,
    table.chunks === undefined ? table.state : `${table.state} ${table.chunks.done}/${table.chunks.all}`,
    n(table.fullLoadRows),
    n(table.inserts),
    n(table.updates),
    n(table.deletes),
    n(table.ddls),
    n(table.files),
    formatBytes(table.bytes),
    table.lastLsn ?? '',
    table.differences === undefined
      ? ''
      : table.differences === 0
        ? 'same'
        : `${n(table.differences)} differ`,
  ]);
  const widths = head.map((text, i) => Math.max(text.length, ...rows.map((row) => row[i]!.length)));
  return [head, ...rows].map(
    (row) =>
      `  ${row.map((text, i) => (i < 2 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  ')}`,
  );
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
