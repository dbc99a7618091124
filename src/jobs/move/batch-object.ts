/** An object on its way through a batch, and what every step of a batch does to it. */

import { LongshoreError, messageOf } from '../../errors.ts';
import type { ListedObject } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import type { MoveContext } from './context.ts';
import type { ProofKind } from './proof.ts';
import type { ObjectOutcome } from './tally.ts';

/** An object on its way through the batch. */
export interface BatchObject {
  readonly sourceKey: string;
  readonly targetKey: string;
  /** The source as it was seen last; undefined: it does not exist. */
  source: ListedObject | undefined;
  /** The target as it was seen last. */
  target: ListedObject | undefined;
  /** Whether the target existed before this run touched it, where that is known. */
  existedBefore: boolean | undefined;
  state: 'open' | 'proven' | ObjectOutcome;
  outcome?: ObjectOutcome | undefined;
  proof?: ProofKind | undefined;
  how?: 'server' | 'parts' | 'stream' | undefined;
  /** Copied by a job of S3 Batch, which does not say with which ETag. */
  readonly copiedByJob?: boolean;
  /** MD5 of the bytes of a streamed copy, hex. */
  streamedMd5?: string | undefined;
  /** ETag that the copy answered. */
  copiedEtag?: string | undefined;
  error?: { readonly code: string; readonly message: string } | undefined;
}

/** HEADs at once where keys are looked up one by one. */
export const OBSERVE_LANES = 64;

/** Fills in what the target holds now. */
export async function observeTargets(
  context: MoveContext,
  objects: readonly BatchObject[],
  signal: AbortSignal,
): Promise<void> {
  const keys = objects.map((object) => object.targetKey);
  const found = await observe(context.target, keys, { concurrency: OBSERVE_LANES, signal });
  for (const object of objects) object.target = found.get(object.targetKey);
}

/** Marks an object as failed, with the error; errors that concern everything are thrown on. */
export function failObject(object: BatchObject, error: unknown): void {
  if (!(error instanceof LongshoreError) || ENDS_THE_RUN.has(error.code)) throw error;
  object.state = 'failed';
  object.error = { code: error.code, message: messageOf(error) };
}

/** What would fail every other object too. */
const ENDS_THE_RUN = new Set(['STORE_CREDENTIALS', 'BUCKET_NOT_FOUND', 'BUCKET_REGION', 'STORE_UNREACHABLE']);
