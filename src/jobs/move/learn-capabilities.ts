/** Learns what the two stores can do, and says aloud what a store does not honour and what stands in for it. */

import type { StoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import type { ObjectStore, StoreCapabilities } from '../../stores/object-store.ts';
import type { MoveListener } from './events.ts';

export interface LearnedCapabilities {
  readonly source: StoreCapabilities;
  readonly target: StoreCapabilities;
  /** Whether markers could be written on both sides. */
  readonly markers: boolean;
}

/**
 * What is taken for granted of a store on which no marker may be written: no condition is relied upon. Conditions
 * are sent all the same, and listings right before each step stand in for them.
 */
const NOT_PROBED: StoreCapabilities = {
  conditionalCopy: false,
  conditionalCopySource: false,
  conditionalPut: false,
  conditionalDelete: 'none',
  serverSideCopy: true,
  partCopy: true,
  tags: true,
  acl: true,
  etag: 'md5',
  checksums: false,
  listing: { bytewise: true, urlEncoding: 'plus' },
};

export async function learnCapabilities(
  source: ObjectStore,
  target: ObjectStore,
  options: { readonly from: StoreUrl; readonly to: StoreUrl; readonly emit: MoveListener },
  signal: AbortSignal,
): Promise<LearnedCapabilities> {
  const { emit } = options;
  const [mine, theirs] = await Promise.all([
    learn(source, options.from.prefix, signal),
    learn(target, options.to.prefix, signal),
  ]);
  for (const [store, learned] of [
    [source, mine],
    [target, theirs],
  ] as const) {
    if (learned !== undefined) continue;
    const text = `${store.name}: no marker may be written or removed, so its conditions are not probed and not relied upon; listings right before each step stand in for them`;
    emit({ type: 'notice', text });
  }
  const result = {
    source: mine ?? NOT_PROBED,
    target: theirs ?? NOT_PROBED,
    markers: mine !== undefined && theirs !== undefined,
  };
  for (const text of fallbacks(source, target, mine, theirs)) emit({ type: 'notice', text });
  return result;
}

async function learn(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal,
): Promise<StoreCapabilities | undefined> {
  try {
    return await store.capabilities(prefix, signal);
  } catch (error) {
    if (error instanceof LongshoreError && error.code === 'STORE_DENIED') return undefined;
    throw error;
  }
}

/** What the stores were seen not to honour, and what is done in its place. */
export function fallbacks(
  source: ObjectStore,
  target: ObjectStore,
  sourceCan: StoreCapabilities | undefined,
  targetCan: StoreCapabilities | undefined,
): string[] {
  const texts: string[] = [];
  if (targetCan !== undefined && target.canCopyFrom(source)) {
    if (!targetCan.serverSideCopy)
      texts.push(`${target.name} does not copy by itself: every object is streamed`);
    else {
      if (!targetCan.conditionalCopy) {
        texts.push(
          `${target.name} ignores If-None-Match on copies: the target is listed before each thousand instead`,
        );
      }
      if (!targetCan.conditionalCopySource) {
        texts.push(
          `${target.name} ignores x-amz-copy-source-if-match: the ETag that the copy answers is compared instead`,
        );
      }
    }
  }
  if (sourceCan !== undefined) {
    if (sourceCan.conditionalDelete === 'single') {
      texts.push(`${source.name} honours If-Match only on single deletes: objects are deleted one by one`);
    }
    if (sourceCan.conditionalDelete === 'none') {
      texts.push(
        `${source.name} ignores If-Match on deletes: the source is listed right before each thousand instead`,
      );
    }
    if (sourceCan.etag === 'opaque') {
      texts.push(
        `ETags of ${source.name} do not tell the content: copies are proven by checksum or by reading`,
      );
    }
  }
  return texts;
}
