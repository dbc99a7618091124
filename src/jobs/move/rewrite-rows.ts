/** Rewrites the rows of a batch whose objects are proven, in batches the database can take. */

import type { RowChange } from '../../databases/database.ts';
import type { DetailLine } from '../../engine/journal.ts';
import { ERROR_CODES, isRetryable, LongshoreError, messageOf } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import type { Batch, BatchRow } from './batch.ts';
import type { BoundColumn, MoveContext } from './context.ts';
import { alreadyChanged, rowLine, type ShardRecord } from './shard-record.ts';
import { emptyTally, type Tally } from './tally.ts';

/**
 * Changes every row as far as its objects are on the target. A row is never changed to name an object that is not.
 * @returns what was done; recorded with a line for every row that was changed, failed, or names a missing object
 */
export async function rewriteRows(
  context: MoveContext,
  batch: Batch,
  record: ShardRecord,
  signal: AbortSignal,
): Promise<Tally> {
  const account = newAccount(record.shardId);
  for (const column of context.columns) {
    const changes: RowChange[] = [];
    for (const named of batch.rows) {
      if (named.column !== column.index) continue;
      const change = changeOf(context, batch, named, column, account);
      if (change !== undefined) changes.push(change);
    }
    await rewriteColumn(context, column, changes, account, signal);
  }
  record.add(account.tally, account.details, account.intents);
  return account.tally;
}

function changeOf(
  context: MoveContext,
  batch: Batch,
  named: BatchRow,
  column: BoundColumn,
  { tally, details }: RowAccount,
): RowChange | undefined {
  const ready = named.references.filter((reference) => {
    const state = batch.objects.get(reference.sourceKey)?.state;
    return state === 'proven' || state === 'repaired';
  });
  const missing = named.references.filter(
    (reference) => batch.objects.get(reference.sourceKey)?.state === 'missing',
  );
  for (const reference of missing) {
    tally.rows.missing++;
    details.push({
      row: named.row.primaryKey,
      column: column.facts.name,
      outcome: 'missing',
      object: undefined,
      names: reference.sourceKey,
    });
  }
  if (ready.length === 0) return undefined;
  return {
    primaryKey: named.row.primaryKey,
    oldValue: named.row.value,
    newValue: context.finder.rewrite(named.row.value, ready),
  };
}

/** Where row changes are accounted for: the shard they belong to, its tally, its lines of detail. */
export interface RowAccount {
  readonly shardId: number;
  readonly tally: Tally;
  readonly details: DetailLine[];
  /** Of the changes in `details`. */
  readonly intents: number[];
}

export function newAccount(shardId: number): RowAccount {
  return { shardId, tally: emptyTally(), details: [], intents: [] };
}

/** Makes changes to one column, in batches, each journaled before it commits. */
export async function rewriteColumn(
  context: MoveContext,
  column: BoundColumn,
  changes: readonly RowChange[],
  account: RowAccount,
  signal: AbortSignal,
): Promise<void> {
  const { tally, details } = account;
  const queue = [changes];
  while (queue.length > 0) {
    const batch = queue.shift()!;
    const rows = context.rowGate.rowsMax;
    if (batch.length > rows) {
      queue.unshift(batch.slice(0, rows), batch.slice(rows));
      continue;
    }
    if (batch.length === 0) continue;
    await context.rowGate.pass(batch.length, signal);
    try {
      const changed = await commit(context, column, batch, account, signal);
      recordChanges(column, batch, changed, account);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asRowFailure(error);
      if (batch.length > 1) {
        // One row that a constraint or a trigger refuses must not keep the others from moving.
        const half = Math.ceil(batch.length / 2);
        queue.unshift(batch.slice(0, half), batch.slice(half));
        continue;
      }
      if (isLockTimeout(failure)) {
        // Somebody works on the row; the next pass looks at it again.
        tally.rows.raced++;
        details.push({ row: batch[0]!.primaryKey, column: column.facts.name, outcome: 'raced' });
        continue;
      }
      tally.rows.failed++;
      details.push({
        row: batch[0]!.primaryKey,
        column: column.facts.name,
        outcome: 'failed',
        error: { code: failure.code, message: messageOf(failure) },
      });
    }
  }
}

/** One transaction, its changes journaled before it commits; tried again when it lost against others. */
async function commit(
  context: MoveContext,
  column: BoundColumn,
  batch: readonly RowChange[],
  { shardId, intents }: RowAccount,
  signal: AbortSignal,
): Promise<RowChange[]> {
  let intent: number | undefined;
  let prepared: readonly RowChange[] = [];
  const changed = await withRetry(
    async () => {
      if (intent !== undefined) {
        // The answer to the commit was lost, or it was rolled back: the rows tell which.
        const before = prepared;
        const done = await alreadyChanged(column, before, signal);
        if (done.length > 0) return done;
        context.journal.dropIntent(intent);
        intent = undefined;
      }
      const started = context.clock.now();
      const changed = await column.database.rewrite(
        column.facts,
        batch,
        (rows) => {
          prepared = [...rows];
          intent = context.journal.addIntent(
            shardId,
            rows.map((row) => rowLine(column, row)),
          );
          context.failpoint('before-commit');
        },
        signal,
      );
      context.failpoint('after-commit');
      context.rowGate.batchSize.took(batch.length, context.clock.now() - started);
      return changed;
    },
    context.retry,
    {
      clock: context.clock,
      signal,
      // Waiting again for one locked row would hold up all the others of the batch.
      shouldRetry: (error) => isRetryable(error) && !isLockTimeout(error),
      onRetry: (error) => {
        context.rowGate.batchSize.conflicted();
        context.emit({ type: 'retry', what: 'rows', message: messageOf(error) });
      },
    },
  );
  if (intent !== undefined) intents.push(intent);
  return changed;
}

function isLockTimeout(error: unknown): boolean {
  return error instanceof LongshoreError && error.context['lockTimeout'] === true;
}

function recordChanges(
  column: BoundColumn,
  batch: readonly RowChange[],
  changed: readonly RowChange[],
  { tally, details }: RowAccount,
): void {
  for (const change of changed) {
    tally.rows.rewritten++;
    details.push(rowLine(column, change));
  }
  if (batch.length === changed.length) return;
  tally.rows.raced += Math.max(0, batch.length - changed.length);
  const done = new Set(changed.map(({ primaryKey }) => JSON.stringify(primaryKey)));
  for (const { primaryKey } of batch) {
    if (done.has(JSON.stringify(primaryKey))) continue;
    details.push({ row: primaryKey, column: column.facts.name, outcome: 'raced' });
  }
}

/** An error of the rows themselves; what concerns the connection or the grants is thrown on. */
function asRowFailure(error: unknown): LongshoreError {
  if (error instanceof LongshoreError && ERROR_CODES[error.code].exit === 'failed') return error;
  throw error;
}
