/** Writes the manifest of a group and puts it in its place. */

import { createReadStream, createWriteStream, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LongshoreError } from '../../errors.ts';
import { withRetry } from '../../flow/retry.ts';
import { copyLine, lambdaLine } from '../../platforms/aws/s3-batch-manifest.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveContext } from './context.ts';
import type { BatchTask, BatchTasks } from './s3-batch-tasks.ts';

export interface ManifestFile {
  readonly group: number;
  readonly operation: 'S3PutObjectCopy' | 'LambdaInvoke';
  readonly store: ObjectStore;
  readonly key: string;
  /**
   * Leaves out tasks whose target exists: needed where time has passed since the tasks were chosen, because the copy
   * operation overwrites what it finds.
   */
  readonly onlyAbsent: boolean;
}

/** @returns its ETag; undefined where nothing is left to copy */
export async function putManifest(
  context: MoveContext,
  tasks: BatchTasks,
  file: ManifestFile,
  signal: AbortSignal,
): Promise<string | undefined> {
  const path = join(context.journal.folder, `s3-batch-${file.group}.csv`);
  try {
    await pipeline(Readable.from(lines(context, tasks, file, signal)), createWriteStream(path), { signal });
    const sizeBytes = statSync(path).size;
    if (sizeBytes === 0) return undefined;
    const put = await withRetry(
      () =>
        file.store.put(
          {
            key: file.key,
            sizeBytes,
            body: createReadStream(path),
            attributes: { contentType: 'text/csv', metadata: {} },
            ifAbsent: false,
          },
          signal,
        ),
      context.retry,
      { clock: context.clock, signal },
    );
    if (put.kind === 'copied') return put.etag;
    throw new LongshoreError('STORE_RESPONSE', `the manifest of a job was not written: ${put.kind}`);
  } finally {
    rmSync(path, { force: true });
  }
}

/** Lines a page at once: a stream of single lines costs more than the lines. */
async function* lines(
  context: MoveContext,
  tasks: BatchTasks,
  { group, operation, onlyAbsent }: ManifestFile,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { bucket } = context.source;
  for (const page of tasks.openPages(group)) {
    let open = page;
    if (onlyAbsent) {
      const targets = page.map(({ targetKey }) => targetKey);
      const found = await observe(context.target, targets, { concurrency: OBSERVE_LANES, signal });
      open = page.filter(({ targetKey }) => !found.has(targetKey));
    }
    if (open.length > 0) yield open.map((task) => lineOf(bucket, operation, task)).join('');
  }
}

function lineOf(
  bucket: string,
  operation: ManifestFile['operation'],
  { sourceKey, targetKey, etag, storageClass }: BatchTask,
): string {
  if (operation === 'S3PutObjectCopy') return copyLine(bucket, sourceKey);
  const kept = storageClass === 'STANDARD' ? {} : { s: storageClass };
  return lambdaLine(bucket, { k: sourceKey, t: targetKey, e: etag, ...kept }) ?? '';
}
