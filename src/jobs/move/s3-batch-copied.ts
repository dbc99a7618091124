/**
 * Which ETag the copies of a job have. The copy operation does not say; mostly it is that of the source when the
 * manifest was made, and not where the source was overwritten before its copy, or the copy's ETag comes out another.
 */

import type { ListedObject } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveContext } from './context.ts';
import type { EndedJob } from './s3-batch-group.ts';
import type { BatchTask, BatchTasks } from './s3-batch-tasks.ts';

/** Looks at the targets of the copies of a group, a thousand at once, and keeps the ETags of those that are ours. */
export async function keepCopiedEtags(
  context: MoveContext,
  tasks: BatchTasks,
  group: number,
  span: EndedJob['span'],
  signal: AbortSignal,
): Promise<void> {
  const lookUp = { concurrency: OBSERVE_LANES, signal };
  for (const page of tasks.copiedPages(group)) {
    const targets = await observe(
      context.target,
      page.map(({ targetKey }) => targetKey),
      lookUp,
    );
    const differing = page.filter(({ targetKey, etag }) => (targets.get(targetKey)?.etag ?? etag) !== etag);
    if (differing.length === 0) continue;
    const sources = await observe(
      context.source,
      differing.map(({ sourceKey }) => sourceKey),
      lookUp,
    );
    const ours = differing.flatMap((task) => {
      const target = targets.get(task.targetKey)!;
      return isCopy(task, sources.get(task.sourceKey), target, span)
        ? [{ sourceKey: task.sourceKey, etag: target.etag }]
        : [];
    });
    tasks.keepEtags(ours);
  }
}

/**
 * Whether a target with another ETag than the manifest's is what the job copied. What a service wrote there must not
 * be taken for it, since what is ours may be overwritten. Pure.
 *
 * | source now | and the target | |
 * | --- | --- | --- |
 * | has the target's ETag | – | ours |
 * | has another ETag than in the manifest | written while the job ran | ours |
 * | has the manifest's ETag, of parts | as large, and written while the job ran | ours |
 * | anything else | – | not known to be ours |
 */
export function isCopy(
  task: Pick<BatchTask, 'etag'>,
  source: ListedObject | undefined,
  target: ListedObject,
  span: EndedJob['span'],
): boolean {
  if (source === undefined) return false;
  if (source.etag === target.etag) return true;
  if (span === undefined) return false;
  // Times of objects are told in whole seconds.
  const { lastModifiedMs } = target;
  if (lastModifiedMs < span.fromMs - 1000 || lastModifiedMs > span.toMs + 1000) return false;
  return source.etag !== task.etag || (/-\d+$/.test(task.etag) && source.sizeBytes === target.sizeBytes);
}
