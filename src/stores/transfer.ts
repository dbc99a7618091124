/** Copies one object from a store to another: inside the store where it can, through us where it cannot. */

import { LongshoreError } from '../errors.ts';
import type { ByteBudget } from '../flow/byte-budget.ts';
import { type RetryHooks, type RetryPolicy, withRetry } from '../flow/retry.ts';
import type { CopyOutcome, CopyRequest, ObjectStore } from './object-store.ts';

export interface TransferOptions {
  /** `auto` lets the store copy and streams what it refuses; `stream` never asks it. */
  readonly how: 'auto' | 'stream';
  readonly retry: RetryPolicy;
  readonly hooks: RetryHooks;
  /** Of the bodies that pass through us. */
  readonly budget: ByteBudget;
  /** Called when a store refused to copy an object that then was streamed. */
  readonly onRefused?: ((key: string, error: LongshoreError) => void) | undefined;
}

export async function transfer(
  source: ObjectStore,
  target: ObjectStore,
  request: CopyRequest,
  options: TransferOptions,
  signal?: AbortSignal,
): Promise<CopyOutcome> {
  if (options.how === 'auto' && target.canCopyFrom(source)) {
    try {
      return await target.copyFrom(source, request, signal);
    } catch (error) {
      if (!(error instanceof LongshoreError) || !REFUSED.has(error.code)) throw error;
      options.onRefused?.(request.sourceKey, error);
    }
  }
  const attempt = () => streamed(source, target, request, signal);
  const bytes = Math.min(request.sizeBytes ?? BODY_BYTES_MAX, BODY_BYTES_MAX);
  return options.budget.within(bytes, () => withRetry(attempt, options.retry, { ...options.hooks, signal }));
}

/** What of a body may be in memory at once; larger ones go in parts. */
const BODY_BYTES_MAX = 64 * 1024 ** 2;
/** Larger parts are not kept by what passes through memory. */
const KEPT_PART_BYTES_MAX = 32 * 1024 ** 2;

/** What a store answers when it will not copy by itself though reading and writing may work. */
const REFUSED = new Set(['STORE_UNSUPPORTED', 'STORE_DENIED', 'OBJECT_FAILED']);

/** Reads the object and writes it. The read is bound to the ETag that the facts were read with. */
async function streamed(
  source: ObjectStore,
  target: ObjectStore,
  request: CopyRequest,
  signal?: AbortSignal,
): Promise<CopyOutcome> {
  const head = await source.head(request.sourceKey, signal);
  if (head === undefined) return { kind: 'source-missing' };
  if (request.sourceEtag !== undefined && head.etag !== request.sourceEtag) return { kind: 'source-changed' };
  const tags =
    request.keep.tags && head.tagCount !== undefined && head.tagCount > 0
      ? await source.tags(request.sourceKey, signal)
      : [];
  const opened = await source.get({ key: request.sourceKey, etag: head.etag }, signal);
  if (opened === undefined) return { kind: 'source-changed' };
  try {
    const { encryption } = request;
    return await target.put(
      {
        key: request.targetKey,
        sizeBytes: head.sizeBytes,
        body: opened.body,
        attributes: {
          ...head.attributes,
          ...(request.storageClass === undefined ? {} : { storageClass: request.storageClass }),
          ...(encryption === undefined ? {} : { encryption: encryption.algorithm }),
          ...(encryption?.kmsKeyId === undefined ? {} : { kmsKeyId: encryption.kmsKeyId }),
        },
        tags,
        ifAbsent: request.ifAbsent,
        ifTargetEtag: request.ifTargetEtag,
        partBytes:
          request.partBytes !== undefined && request.partBytes > KEPT_PART_BYTES_MAX
            ? undefined
            : request.partBytes,
      },
      signal,
    );
  } finally {
    opened.body.destroy();
  }
}
