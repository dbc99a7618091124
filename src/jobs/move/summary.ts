/** The summary of a run: totals over all passes, what the last pass left, what failed. */

import type { MoveContext } from './context.ts';
import { addTally, emptyTally, type Tally } from './tally.ts';

export interface MoveSummary {
  readonly run: string;
  readonly from: string;
  readonly to: string;
  readonly seconds: number;
  readonly passes: number;
  /** Everything that was done, over all passes and restarts. */
  readonly total: Tally;
  /** What the last pass found: orphans, missing objects, collisions and failures that are left. */
  readonly left: Tally;
  /** What is not where it should be and not explained; 0 means done and proven. */
  readonly failures: number;
  /** Some of the failures, with their errors. */
  readonly failed: readonly FailureLine[];
  /** Requests sent by this process. */
  readonly requests: number;
}

export interface FailureLine {
  readonly what: string;
  readonly code: string;
  readonly message: string;
}

export const FAILURES_LISTED = 20;

export function summarize(
  context: MoveContext,
  about: {
    readonly run: string;
    readonly requests: number;
    /** Whether the last pass found nothing left to do. */
    readonly ended: boolean;
  },
): MoveSummary {
  const { journal, settings, clock } = context;
  const lastPass = Number(journal.getMeta('pass') ?? 1);
  const total = emptyTally();
  const left = emptyTally();
  const failed: FailureLine[] = [];
  /** An object may fail in more than one shard of the pass, and is one failure. */
  const failedObjects = new Set<string>();
  const failedRows = new Set<string>();
  let failedShards = 0;
  let refused = 0;
  for (const shard of journal.finished()) {
    const inLastPass = shard.pass === lastPass && shard.stage !== 'delete';
    if (shard.state === 'failed') {
      failedShards++;
      const { error } = shard.outcome as { error: { code: string; message: string } };
      if (failed.length < FAILURES_LISTED)
        failed.push({ what: `${shard.stage} shard ${shard.id}`, ...error });
      continue;
    }
    const tally = shard.outcome as Tally;
    addTally(total, tally);
    if (inLastPass) addTally(left, tally);
    refused += tally.deletes.refused;
    const hasFailures = inLastPass && tally.objects.failed + tally.objects.collision + tally.rows.failed > 0;
    if (hasFailures || (tally.deletes.refused > 0 && failed.length < FAILURES_LISTED)) {
      for (const line of journal.details(shard.id)) {
        const error = line['error'] as { code: string; message: string } | undefined;
        if (error === undefined) continue;
        const what = describeLine(line);
        const failedBefore =
          shard.stage === 'delete'
            ? undefined
            : typeof line['object'] === 'string'
              ? failedObjects
              : failedRows;
        if (failedBefore?.has(what)) continue;
        failedBefore?.add(what);
        if (failed.length < FAILURES_LISTED) failed.push({ what, ...error });
      }
    }
  }
  if (!about.ended) {
    failed.push({
      what: `pass ${lastPass}`,
      code: 'RUN_INCOMPLETE',
      message:
        'rows and objects still appear; run with --follow, or let the application write to the new place first',
    });
  }
  return {
    run: about.run,
    from: settings.from,
    to: settings.to,
    seconds: (clock.now() - Number(journal.getMeta('startedMs') ?? clock.now())) / 1000,
    passes: lastPass,
    total,
    left,
    failures:
      failedObjects.size + failedRows.size + left.rows.raced + (about.ended ? 0 : 1) + refused + failedShards,
    failed,
    requests: about.requests,
  };
}

/** What a line of detail is about. */
export function describeLine(line: Readonly<Record<string, unknown>>): string {
  if (typeof line['object'] === 'string') return line['object'];
  return `row ${JSON.stringify(line['row'])} of ${String(line['column'])}`;
}
