/** Copies the objects of a batch, each bound to the ETag it was seen with and to an absent target. */

import { LongshoreError } from '../../errors.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import type { CopyOutcome, ListedObject } from '../../stores/object-store.ts';
import { transfer } from '../../stores/transfer.ts';
import { type BatchObject, failObject } from './batch-object.ts';
import type { MoveContext } from './context.ts';
import { etagMeaning } from './proof.ts';

/** Lanes of one shard; how many requests run at once is the stores' own limit. */
const COPY_LANES = 128;
const CHANGES_FOLLOWED_MAX = 3;

export async function copyAll(
  context: MoveContext,
  objects: readonly BatchObject[],
  signal: AbortSignal,
): Promise<void> {
  await mapConcurrent(toCopy(objects), COPY_LANES, async (object) => {
    try {
      await copyOne(context, object, signal);
      context.failpoint('object-copied');
    } catch (error) {
      signal.throwIfAborted();
      failObject(object, error);
    }
  });
}

/** Those whose target is absent, as far as was seen, and whose source is not. */
export function toCopy(objects: readonly BatchObject[]): BatchObject[] {
  return objects.filter(
    ({ state, source, target }) => state === 'open' && source !== undefined && target === undefined,
  );
}

/** Copies one object; where the source changes meanwhile, what is there now is copied. */
async function copyOne(context: MoveContext, object: BatchObject, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; attempt < CHANGES_FOLLOWED_MAX; attempt++) {
    const { source } = object;
    if (source === undefined) return;
    if (ARCHIVED.has(source.storageClass)) throw archived(source);
    const outcome = await copyOver(context, object, source, {}, signal);
    if (outcome.kind === 'copied') {
      object.how = outcome.how;
      object.copiedEtag = outcome.etag;
      object.streamedMd5 = outcome.md5;
      object.outcome = 'copied';
      return;
    }
    if (outcome.kind === 'target-exists') return;
    object.source = await listedNow(context, object.sourceKey, signal);
  }
  throw new LongshoreError('OBJECT_FAILED', 'the source changes faster than it can be copied', {
    hint: 'the next pass tries again',
  });
}

/** The copy itself, with what it must keep. */
export async function copyOver(
  context: MoveContext,
  object: BatchObject,
  source: ListedObject,
  overwrite: {
    readonly ifTargetEtag?: string | undefined;
    readonly encryption?: { readonly algorithm: string; readonly kmsKeyId?: string | undefined } | undefined;
  },
  signal: AbortSignal,
): Promise<CopyOutcome> {
  const { settings } = context;
  return transfer(
    context.source,
    context.target,
    {
      sourceKey: object.sourceKey,
      targetKey: object.targetKey,
      sourceEtag: source.etag === '' ? undefined : source.etag,
      sizeBytes: source.sizeBytes,
      storageClass: source.storageClass,
      ifAbsent: overwrite.ifTargetEtag === undefined,
      ifTargetEtag: overwrite.ifTargetEtag,
      encryption: overwrite.encryption,
      keep: { tags: settings.tags },
      partBytes: await keptPartBytes(context, object.sourceKey, source, signal),
    },
    {
      how: settings.copyWith === 'stream' ? 'stream' : 'auto',
      retry: context.retry,
      hooks: { clock: context.clock },
      budget: context.bodies,
      onRefused: (key, error) =>
        context.emit({
          type: 'notice',
          text: `${key} is streamed, the store does not copy it: ${error.message}`,
        }),
    },
    signal,
  );
}

/**
 * The part size that makes the copy of a multipart object come out with the same ETag, so that it is proven
 * without reading it; undefined where that is not possible or not needed.
 */
async function keptPartBytes(
  context: MoveContext,
  key: string,
  source: ListedObject,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (context.settings.prove !== 'etag' || !context.targetCapabilities.partCopy) return undefined;
  if (etagMeaning(source.etag, context.sourceCapabilities.etag) !== 'multipart') return undefined;
  const layout = await context.source.partLayout(key, signal);
  if (layout === undefined) return undefined;
  const { firstPartBytes, partsCount } = layout;
  const uniform =
    (partsCount - 1) * firstPartBytes < source.sizeBytes && partsCount * firstPartBytes >= source.sizeBytes;
  return uniform && source.etag.endsWith(`-${partsCount}`) ? firstPartBytes : undefined;
}

/** The source as it is now, in the shape of a listing. */
export async function listedNow(
  context: MoveContext,
  sourceKey: string,
  signal: AbortSignal,
): Promise<ListedObject | undefined> {
  const head = await context.source.head(sourceKey, signal);
  if (head === undefined) return undefined;
  return {
    key: sourceKey,
    sizeBytes: head.sizeBytes,
    etag: head.etag,
    lastModifiedMs: head.lastModifiedMs,
    storageClass: head.attributes.storageClass ?? 'STANDARD',
  };
}

const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE']);

function archived(source: ListedObject): LongshoreError {
  return new LongshoreError('OBJECT_ARCHIVED', `the object is in storage class ${source.storageClass}`, {
    hint: 'restore it (s3:RestoreObject) and run again',
    context: { key: source.key },
  });
}
