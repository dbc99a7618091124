/** The copy stage: a shard is a span of the source's keys, moved with the rows that an index finds for them. */

import type { DetailLine, Shard } from '../../engine/journal.ts';
import type { ShardResult } from '../../engine/local-engine.ts';
import { listSpanPages } from '../../stores/list-parallel.ts';
import type { ListedObject } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { type Batch, type BatchRow, moveBatch } from './batch.ts';
import { type BatchObject, OBSERVE_LANES, observeTargets } from './batch-object.ts';
import type { BoundColumn, MoveContext } from './context.ts';
import { inventoryPages, isInventorySpec } from './inventory.ts';
import { type CopySpec, isCandidate, type KeysSpec } from './lay-out.ts';
import { compareByEtag } from './proof.ts';
import { BatchTasks } from './s3-batch-tasks.ts';
import { ShardRecord } from './shard-record.ts';
import { emptyTally, type Tally } from './tally.ts';
import { putThereByMove } from './written-by-run.ts';

export async function runCopyShard(
  context: MoveContext,
  spec: CopySpec,
  shard: Shard,
  signal: AbortSignal,
): Promise<ShardResult<Tally>> {
  const record = await ShardRecord.open(context, shard, signal);
  const left = emptyTally();
  const details: DetailLine[] = [];
  for await (const page of shardPages(context, spec, signal)) {
    const chosen = page.filter((object) => isCandidate(context, object.key));
    const batch = await batchOf(context, spec, shard.pass, chosen, left, details, signal);
    await moveBatch(context, batch, record, signal);
  }
  await record.close(signal);
  return { outcome: left, details };
}

/** The objects of a shard as they are now, a page at a time. */
export function shardPages(
  context: MoveContext,
  spec: CopySpec,
  signal: AbortSignal,
): AsyncGenerator<readonly ListedObject[]> {
  if (isInventorySpec(spec)) return inventoryPages(context, spec, signal);
  if ('keys' in spec) return keysPage(context, spec as KeysSpec, signal);
  return listSpanPages(context.source, spec.prefix, spec, signal);
}

async function* keysPage(
  context: MoveContext,
  { keys }: KeysSpec,
  signal: AbortSignal,
): AsyncGenerator<readonly ListedObject[]> {
  yield [...(await observe(context.source, keys, { concurrency: OBSERVE_LANES, signal })).values()];
}

/** Whether rows are found by their value, so that a shard knows the rows of its objects. */
export function rowsAreIndexed(columns: readonly BoundColumn[]): boolean {
  return columns.every((column) => column.facts.indexed && column.facts.within === 'value');
}

async function batchOf(
  context: MoveContext,
  spec: CopySpec,
  pass: number,
  listed: readonly ListedObject[],
  tally: Tally,
  details: Record<string, unknown>[],
  signal: AbortSignal,
): Promise<Batch> {
  const existing = spec.existing === undefined ? undefined : new Set(spec.existing);
  const copiedByJob = copiedBySomeJob(context, pass, listed);
  const objects = new Map<string, BatchObject>();
  for (const source of listed) {
    objects.set(source.key, {
      sourceKey: source.key,
      targetKey: context.rules.targetOf(source.key)!,
      source,
      target: undefined,
      existedBefore: existing?.has(source.key),
      state: 'open',
      ...(copiedByJob.has(source.key) ? { how: 'server', copiedByJob: true } : {}),
    });
  }
  const targetFirst = existing === undefined || existing.size > 0 || copiedByJob.size > 0;
  if (context.columns.length === 0 || !rowsAreIndexed(context.columns)) {
    return { objects, rows: [], targetFirst };
  }
  const rows = await rowsNaming(context, objects, signal);
  if (context.settings.orphans !== 'move') {
    await leaveOrphans(context, objects, rows, pass, tally, details, signal);
  }
  return { objects, rows, targetFirst };
}

/** Source keys of objects that a job of S3 Batch copied before this pass looked at them. */
function copiedBySomeJob(
  context: MoveContext,
  pass: number,
  listed: readonly ListedObject[],
): ReadonlySet<string> {
  if (context.settings.copyWith !== 's3-batch' || pass > 1) return new Set();
  using tasks = BatchTasks.openExisting(context.journal.folder);
  return tasks?.copiedOf(listed.map(({ key }) => key)) ?? new Set();
}

/** The rows that name the objects, by the spellings that were sampled. */
export async function rowsNaming(
  context: MoveContext,
  objects: ReadonlyMap<string, unknown>,
  signal: AbortSignal,
): Promise<BatchRow[]> {
  const rows: BatchRow[] = [];
  if (objects.size === 0) return rows;
  for (const column of context.columns) {
    const values: string[] = [];
    for (const lead of column.leads) for (const key of objects.keys()) values.push(lead + key);
    for (const row of await column.database.rowsWithValue(column.facts, values, signal)) {
      const references = context.finder.find(row.value, column.facts.within);
      const ours = references.filter((reference) => objects.has(reference.sourceKey));
      if (ours.length > 0) rows.push({ column: column.index, row, references: ours });
    }
  }
  return rows;
}

/**
 * Takes objects that no row names out of the batch. Some of them must stay: an object that was not on the target when
 * the shard was laid out and is now was moved by an attempt that died before it was recorded, its rows already
 * rewritten; an object whose target differs was overwritten after its move.
 */
async function leaveOrphans(
  context: MoveContext,
  objects: Map<string, BatchObject>,
  rows: readonly BatchRow[],
  pass: number,
  tally: Tally,
  details: Record<string, unknown>[],
  signal: AbortSignal,
): Promise<void> {
  const named = new Set(rows.flatMap((row) => row.references.map((reference) => reference.sourceKey)));
  const unnamed = [...objects.values()].filter((object) => !named.has(object.sourceKey));
  if (unnamed.length === 0) return;
  await observeTargets(context, unnamed, signal);
  const etags = { source: context.sourceCapabilities.etag, target: context.targetCapabilities.etag };
  const onTarget = unnamed.filter(({ target }) => target !== undefined);
  const moved = putThereByMove(
    context.journal.folder,
    new Map(pass === 1 ? [] : onTarget.map(({ sourceKey, targetKey }) => [sourceKey, targetKey])),
  );
  for (const object of unnamed) {
    const { source, target } = object;
    const same = target !== undefined && compareByEtag(source!, target, etags) === 'proven';
    if (same && object.existedBefore === false) continue;
    if (target !== undefined && !same && moved.has(object.sourceKey)) continue;
    objects.delete(object.sourceKey);
    if (same && context.settings.delete === 'never') continue;
    tally.objects.orphan++;
    details.push({
      object: object.sourceKey,
      size: source?.sizeBytes,
      etag: source?.etag,
      outcome: 'orphan',
    });
  }
}
