/**
 * Moves one batch of objects and the rows that name them: copy, prove, rewrite. Deletion comes later.
 *
 * What a crash after each step leaves: after a copy, an object more on the target, and an intent in the journal that
 * tells so; after a proof, the same; before a row's commit, rows that name the source, which is still there; after
 * it, rows that name the target, which is proven, and an intent that tells which rows these are.
 */

import type { NamingRow } from '../../databases/database.ts';
import type { DetailLine } from '../../engine/journal.ts';
import { type BatchObject, observeTargets } from './batch-object.ts';
import type { MoveContext } from './context.ts';
import { copyAll, toCopy } from './copy-objects.ts';
import { proveAll } from './prove-objects.ts';
import type { Reference } from './references.ts';
import { rewriteRows } from './rewrite-rows.ts';
import type { ShardRecord } from './shard-record.ts';
import { addTally, emptyTally, type ObjectOutcome, type Tally } from './tally.ts';

/** A row that names at least one object of the batch. */
export interface BatchRow {
  readonly column: number;
  readonly row: NamingRow;
  readonly references: readonly Reference[];
}

export interface Batch {
  readonly objects: ReadonlyMap<string, BatchObject>;
  readonly rows: readonly BatchRow[];
  /** Look at the target before copying: it may hold some already. */
  readonly targetFirst: boolean;
}

/**
 * @param record where the batch is recorded, as it goes
 * @returns what it did
 * @throws only what concerns the whole batch; what fails for one object or row is in the record
 */
export async function moveBatch(
  context: MoveContext,
  batch: Batch,
  record: ShardRecord,
  signal: AbortSignal,
): Promise<Tally> {
  const objects = [...batch.objects.values()];
  if (batch.targetFirst || !context.targetCapabilities.conditionalCopy) {
    await observeTargets(context, objects, signal);
  }
  for (const object of objects) if (record.wasBegun(object.sourceKey)) object.existedBefore = false;
  record.beginCopies(toCopy(objects));
  context.failpoint('before-copy');
  await copyAll(context, objects, signal);
  context.failpoint('after-copy');
  await proveAll(context, objects, signal);
  context.failpoint('after-proof');
  const named = new Set(batch.rows.flatMap((row) => row.references.map((reference) => reference.sourceKey)));
  const tally = record.objectsDone(
    objects.map((object) => finishObject(object, named.has(object.sourceKey))),
  );
  context.failpoint('objects-recorded');
  return addTally(tally, await rewriteRows(context, batch, record, signal));
}

function finishObject(object: BatchObject, named: boolean): { line: DetailLine; tally: Tally } {
  const outcome = object.state === 'proven' ? (object.outcome ?? 'already') : object.state;
  const final: ObjectOutcome = outcome === 'open' ? 'failed' : outcome;
  const tally = emptyTally();
  tally.objects[final]++;
  if (object.proof !== undefined) tally.proofs[object.proof]++;
  if (object.how !== undefined && (final === 'copied' || final === 'refreshed')) {
    tally.how[object.how]++;
    tally.bytesCopied += object.source?.sizeBytes ?? 0;
  }
  const line = {
    object: object.sourceKey,
    target: object.targetKey,
    size: object.source?.sizeBytes ?? object.target?.sizeBytes,
    etag: object.source?.etag,
    targetEtag: object.target?.etag === object.source?.etag ? undefined : object.target?.etag,
    outcome: final,
    proof: object.proof,
    how: object.how,
    unnamed: named ? undefined : true,
    error: object.error,
  };
  return { line, tally };
}
