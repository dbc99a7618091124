/** Chooses what S3 Batch copies: the objects of the laid-out shards that a job can copy and that need a copy. */

import type { Shard } from '../../engine/journal.ts';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import { lambdaLine } from '../../platforms/aws/s3-batch-manifest.ts';
import { BATCH_COPY_BYTES_MAX, prependedFolderOf } from '../../platforms/aws/s3-batch-operation.ts';
import type { ListedObject } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveContext } from './context.ts';
import { rowsAreIndexed, rowsNaming, shardPages } from './copy-stage.ts';
import { type CopySpec, isCandidate } from './lay-out.ts';
import type { BatchGroup, BatchTask, BatchTasks } from './s3-batch-tasks.ts';

/** Goes through the shards of the first pass that are not recorded yet. */
export async function writeBatchTasks(
  context: MoveContext,
  tasks: BatchTasks,
  operation: 'S3PutObjectCopy' | 'LambdaInvoke',
  signal: AbortSignal,
): Promise<void> {
  await forEachConcurrent(context.journal.openShards('copy', 1), SHARDS_AT_ONCE, async (shard: Shard) => {
    signal.throwIfAborted();
    if (tasks.isRecorded(shard.id)) return;
    const spec = shard.spec as CopySpec;
    const existing = new Set(spec.existing);
    for await (const page of shardPages(context, spec, signal)) {
      const chosen = page.filter(
        (object) => isCandidate(context, object.key) && !existing.has(object.key) && isCopyable(object),
      );
      addTasks(context, tasks, operation, await needingCopies(context, chosen, signal));
    }
    tasks.record(shard.id);
  });
}

const SHARDS_AT_ONCE = 4;

/** Sorts objects into groups; those that no job can copy are left to our own engine. */
function addTasks(
  context: MoveContext,
  tasks: BatchTasks,
  operation: 'S3PutObjectCopy' | 'LambdaInvoke',
  objects: readonly ListedObject[],
): void {
  const groups = new Map<string, { group: Omit<BatchGroup, 'id'>; tasks: BatchTask[] }>();
  for (const { key, etag, storageClass } of objects) {
    const targetKey = context.rules.targetOf(key)!;
    const group = groupOf(context.source.bucket, operation, { key, targetKey, etag, storageClass });
    if (group === undefined) continue;
    const name = `${group.storageClass} ${group.folder}`;
    const members = groups.get(name) ?? { group, tasks: [] };
    members.tasks.push({ sourceKey: key, targetKey, etag, storageClass });
    groups.set(name, members);
  }
  for (const members of groups.values()) tasks.add(members.tasks, members.group);
}

/** One job puts one folder before its keys and gives one storage class; a function does with each what it must. */
function groupOf(
  bucket: string,
  operation: 'S3PutObjectCopy' | 'LambdaInvoke',
  object: {
    readonly key: string;
    readonly targetKey: string;
    readonly etag: string;
    readonly storageClass: string;
  },
): Omit<BatchGroup, 'id'> | undefined {
  const { key: k, targetKey: t, etag: e, storageClass: s } = object;
  if (operation === 'LambdaInvoke') {
    return lambdaLine(bucket, { k, t, e, s }) === undefined
      ? undefined
      : { folder: '', storageClass: 'STANDARD' };
  }
  const folder = prependedFolderOf(k, t);
  return folder === undefined ? undefined : { folder, storageClass: s };
}

/** What jobs do not copy is left to our own engine: large objects, archived ones, classes they do not know. */
function isCopyable({ sizeBytes, storageClass, etag }: ListedObject): boolean {
  return sizeBytes <= BATCH_COPY_BYTES_MAX && CLASSES.has(storageClass) && etag !== '';
}

const CLASSES = new Set(['STANDARD', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING', 'GLACIER_IR']);

/** Leaves out objects whose target appeared since the move was laid out, and orphans that stay where they are. */
async function needingCopies(
  context: MoveContext,
  objects: readonly ListedObject[],
  signal: AbortSignal,
): Promise<ListedObject[]> {
  const { rules, target, columns, settings } = context;
  const targetOf = (object: ListedObject): string => rules.targetOf(object.key)!;
  const found = await observe(target, objects.map(targetOf), { concurrency: OBSERVE_LANES, signal });
  const absent = objects.filter((object) => !found.has(targetOf(object)));
  if (settings.orphans === 'move' || columns.length === 0 || !rowsAreIndexed(columns)) return absent;
  const rows = await rowsNaming(context, new Map(absent.map((object) => [object.key, object])), signal);
  const named = new Set(rows.flatMap((row) => row.references.map(({ sourceKey }) => sourceKey)));
  return absent.filter((object) => named.has(object.key));
}
