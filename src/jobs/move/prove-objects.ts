/**
 * Proves the copies of a batch: one listing of the target for a thousand of them; what its ETags leave unclear, by
 * the checksums that both stores keep; what these leave unclear, by reading both sides.
 */

import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { LongshoreError } from '../../errors.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import type { ObjectHead, ObjectStore } from '../../stores/object-store.ts';
import { type BatchObject, failObject, observeTargets } from './batch-object.ts';
import type { MoveContext } from './context.ts';
import { copyOver, listedNow } from './copy-objects.ts';
import { compareByChecksum, compareByEtag, type ProofKind, plainMd5 } from './proof.ts';
import { putThereByMove, WrittenByRun } from './written-by-run.ts';

/** Objects whose bytes are read at once. */
const READ_LANES = 8;

interface Proving extends MoveContext {
  /** What this run wrote to the targets of the batch before. */
  readonly written: WrittenByRun;
}

export async function proveAll(
  context: MoveContext,
  objects: readonly BatchObject[],
  signal: AbortSignal,
): Promise<void> {
  const open = objects.filter((object) => object.state === 'open');
  const unseen = open.filter((object) => object.target === undefined);
  if (unseen.length > 0) await observeTargets(context, unseen, signal);
  const targets = new Map(open.map(({ sourceKey, targetKey }) => [sourceKey, targetKey]));
  const proving: Proving = { ...context, written: new WrittenByRun(context.journal, targets) };
  const unclear: BatchObject[] = [];
  for (const object of open) {
    if (!proveByEtag(context, object)) unclear.push(object);
  }
  await mapConcurrent(unclear, READ_LANES, async (object) => {
    try {
      await proveFurther(proving, object, signal);
    } catch (error) {
      signal.throwIfAborted();
      failObject(object, error);
    }
  });
  leaveWhatIsNotOurs(context, open);
  if (context.settings.acl) await keepAcls(context, open, signal);
}

/** What lies on the target without a source may be another object altogether: only what the move put there counts. */
function leaveWhatIsNotOurs(context: MoveContext, objects: readonly BatchObject[]): void {
  if (context.follows === 'any') return;
  const asked = objects.filter(({ state, outcome }) => state === 'repaired' && outcome === undefined);
  if (asked.length === 0) return;
  const ours = putThereByMove(
    context.journal.folder,
    new Map(asked.map(({ sourceKey, targetKey }) => [sourceKey, targetKey])),
  );
  for (const object of asked) if (!ours.has(object.sourceKey)) object.state = 'missing';
}

/** Decides from listings alone. @returns whether the object needs no further look */
function proveByEtag(context: MoveContext, object: BatchObject): boolean {
  const { source, target } = object;
  if (source === undefined) {
    // The source is gone: what is on the target is all there is.
    object.state = target === undefined ? 'missing' : 'repaired';
    return true;
  }
  if (target === undefined || context.settings.prove !== 'etag') return false;
  const verdict = compareByEtag(source, target, {
    source: context.sourceCapabilities.etag,
    target: context.targetCapabilities.etag,
  });
  if (verdict !== 'proven') return false;
  proven(object, 'etag');
  return true;
}

function proven(object: BatchObject, proof: ProofKind): void {
  object.state = 'proven';
  object.proof = proof;
  if (object.outcome === undefined) object.outcome = object.existedBefore === false ? 'copied' : 'already';
}

async function proveFurther(context: Proving, object: BatchObject, signal: AbortSignal): Promise<void> {
  const [source, target] = await Promise.all([
    context.source.head(object.sourceKey, signal),
    context.target.head(object.targetKey, signal),
  ]);
  if (target === undefined) {
    throw new LongshoreError('OBJECT_FAILED', 'the copy is not on the target', {
      hint: 'the next pass tries again',
    });
  }
  if (source === undefined) {
    object.source = undefined;
    object.state = 'repaired';
    return;
  }
  // The facts that count are those of the moment of the proof: deletion is bound to this ETag.
  object.source = { ...object.source!, etag: source.etag, sizeBytes: source.sizeBytes };
  object.target = {
    ...source,
    storageClass: 'STANDARD',
    key: object.targetKey,
    etag: target.etag,
    sizeBytes: target.sizeBytes,
  };
  if (await restoreEncryption(context, object, source, target, signal)) {
    const again = await context.target.head(object.targetKey, signal);
    if (again !== undefined) return compareFully(context, object, source, again, signal);
  }
  return compareFully(context, object, source, target, signal);
}

async function compareFully(
  context: Proving,
  object: BatchObject,
  source: ObjectHead,
  target: ObjectHead,
  signal: AbortSignal,
): Promise<void> {
  object.target = { ...object.target!, etag: target.etag, sizeBytes: target.sizeBytes };
  const { prove } = context.settings;
  const sourceMd5 = plainMd5(source, context.sourceCapabilities.etag);
  if (prove !== 'bytes') {
    const verdict = compareByChecksum(source, target);
    if (verdict === 'proven') return proven(object, 'checksum');
    // What we streamed had the source's MD5, and the store checked the MD5 of every part that it took.
    const streamed = object.streamedMd5;
    if (
      verdict === 'unclear' &&
      streamed !== undefined &&
      streamed === sourceMd5 &&
      object.copiedEtag === target.etag
    ) {
      return proven(object, 'checksum');
    }
    if (verdict === 'differs') return differs(context, object, target, signal);
  }
  const targetMd5 = plainMd5(target, context.targetCapabilities.etag);
  const knownToDiffer =
    source.sizeBytes !== target.sizeBytes ||
    (sourceMd5 !== undefined && targetMd5 !== undefined && sourceMd5 !== targetMd5);
  if (knownToDiffer) return differs(context, object, target, signal);
  const [mine, theirs] = await Promise.all([
    digestOf(context.source, source, signal),
    digestOf(context.target, target, signal),
  ]);
  if (mine === undefined || theirs === undefined) {
    throw new LongshoreError('OBJECT_FAILED', 'the object changed while it was read for its proof', {
      hint: 'the next pass tries again',
    });
  }
  if (mine === theirs) return proven(object, 'bytes');
  return differs(context, object, target, signal);
}

/** SHA-256 of an object's bytes, as long as it still has the ETag of `head`. */
async function digestOf(
  store: ObjectStore,
  head: ObjectHead,
  signal: AbortSignal,
): Promise<string | undefined> {
  const opened = await store.get({ key: head.key, etag: head.etag }, signal);
  if (opened === undefined) return undefined;
  return sha256Of(opened.body, head.sizeBytes);
}

async function sha256Of(body: Readable, sizeBytes: number): Promise<string | undefined> {
  const sha256 = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      sha256.update(chunk);
      bytes += chunk.byteLength;
    }
  } catch (error) {
    throw new LongshoreError(
      'STORE_UNAVAILABLE',
      'the connection broke while an object was read for its proof',
      {
        cause: error,
      },
    );
  }
  return bytes === sizeBytes ? sha256.digest('hex') : undefined;
}

/**
 * The target holds something else. If it is what this run wrote there, the source was overwritten since, and the
 * target follows; anything else on the target is not ours to touch.
 */
async function differs(
  context: Proving,
  object: BatchObject,
  target: ObjectHead,
  signal: AbortSignal,
): Promise<void> {
  const ours = object.outcome === undefined && context.written.has(object.sourceKey, target.etag);
  if (!ours) {
    if (object.outcome === 'copied') {
      throw new LongshoreError('OBJECT_FAILED', 'the copy differs from its source', {
        hint: 'the next pass looks again; see the report if it stays',
      });
    }
    object.state = 'collision';
    object.error = {
      code: 'TARGET_COLLISION',
      message: `the target ${object.targetKey} holds other content`,
    };
    return;
  }
  const source = await listedNow(context, object.sourceKey, signal);
  if (source === undefined) return;
  const outcome = await copyOver(context, object, source, { ifTargetEtag: target.etag }, signal);
  if (outcome.kind !== 'copied') {
    throw new LongshoreError('OBJECT_FAILED', 'source and target change at once', {
      hint: 'the next pass tries again',
    });
  }
  object.outcome = 'refreshed';
  object.how = outcome.how;
  object.streamedMd5 = outcome.md5;
  object.copiedEtag = outcome.etag;
  await proveFurther(context, object, signal);
}

/** Copies again with the source's key management settings where the copy lost them. @returns whether it did */
async function restoreEncryption(
  context: MoveContext,
  object: BatchObject,
  source: ObjectHead,
  target: ObjectHead,
  signal: AbortSignal,
): Promise<boolean> {
  const { encryption: algorithm, kmsKeyId } = source.attributes;
  if (!context.settings.encryption || (object.outcome !== 'copied' && !object.copiedByJob)) return false;
  if (algorithm === undefined || !algorithm.startsWith('aws:kms')) return false;
  const same = target.attributes.encryption === algorithm && target.attributes.kmsKeyId === kmsKeyId;
  if (same) return false;
  const outcome = await copyOver(
    context,
    object,
    object.source!,
    { ifTargetEtag: target.etag, encryption: { algorithm, kmsKeyId } },
    signal,
  );
  if (outcome.kind !== 'copied') return false;
  object.copiedEtag = outcome.etag;
  object.streamedMd5 = outcome.md5;
  return true;
}

async function keepAcls(
  context: MoveContext,
  objects: readonly BatchObject[],
  signal: AbortSignal,
): Promise<void> {
  const proven = objects.filter((object) => object.state === 'proven');
  await mapConcurrent(proven, READ_LANES, async (object) => {
    try {
      await context.target.copyAcl(context.source, object.sourceKey, object.targetKey, signal);
    } catch (error) {
      signal.throwIfAborted();
      failObject(object, error);
    }
  });
}
