/** Runs as a person reads them. */

import type { RunStatus } from '../jobs/move/status.ts';

export function statusText(runs: readonly RunStatus[]): string {
  if (runs.length === 0) return 'no runs';
  return runs.map(runText).join('\n\n');
}

function runText(run: RunStatus): string {
  const { total } = run;
  if (run.problem !== undefined) return `${run.run}  ${run.state}: ${run.problem}`;
  const lines = [
    `${run.run}  ${run.state}, pass ${run.pass}`,
    `  ${run.from} → ${run.to}, since ${new Date(run.startedMs).toISOString()}`,
    `  ${n(total.objects.copied)} copied, ${n(total.rows.rewritten)} rows rewritten, ${n(total.deletes.deleted)} deleted`,
  ];
  for (const { stage, open, done, failed } of run.stages) {
    lines.push(
      `  ${stage.padEnd(12)} ${n(done)} shards done, ${n(open)} open${failed > 0 ? `, ${n(failed)} failed` : ''}`,
    );
  }
  if (run.deletionDueMs !== undefined && (run.state === 'running' || run.state === 'stopped')) {
    lines.push(`  objects may leave the source from ${new Date(run.deletionDueMs).toISOString()}`);
  }
  return lines.join('\n');
}

function n(value: number): string {
  return value.toLocaleString('en-US');
}
