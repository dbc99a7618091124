/**
 * The delete stage: takes moved objects out of the source, each only if it still has the ETag that was proven and
 * no row names it, asked again at that moment.
 */

import type { DetailLine, Journal } from '../../engine/journal.ts';
import type { ShardResult } from '../../engine/local-engine.ts';
import { LongshoreError } from '../../errors.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import type { DeleteOutcome } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveContext } from './context.ts';
import { rowsAreIndexed, rowsNaming } from './copy-stage.ts';
import type { NamedKeys } from './named-keys.ts';
import { addTally, type DeleteOutcomeName, emptyTally, type Tally } from './tally.ts';

/** A shard of the delete stage: the objects that another shard proved. Plain data. */
export interface DeleteSpec {
  readonly shard: number;
}

const BATCH_KEYS = 1000;
const SINGLE_LANES = 64;

/** An object to be deleted, as its shard recorded it. */
interface Proven {
  readonly key: string;
  readonly etag: string;
  readonly targetKey: string;
}

export async function runDeleteShard(
  context: MoveContext,
  spec: DeleteSpec,
  named: NamedKeys,
  signal: AbortSignal,
): Promise<ShardResult<Tally>> {
  const tally = emptyTally();
  const details: DetailLine[] = [];
  const proven = provenObjects(context.journal, spec.shard);
  for (let at = 0; at < proven.length; at += BATCH_KEYS) {
    const batch = proven.slice(at, at + BATCH_KEYS);
    const result = await deleteBatch(context, batch, named, signal);
    addTally(tally, result.outcome);
    details.push(...result.details);
  }
  return { outcome: tally, details };
}

/** What a finished shard proved to be on the target. */
export function provenObjects(journal: Journal, shardId: number): Proven[] {
  const proven = new Map<string, Proven>();
  for (const line of journal.details(shardId)) {
    const { object, target, etag, outcome, proof, keep } = line;
    if (typeof object !== 'string' || typeof target !== 'string' || typeof etag !== 'string') continue;
    if (proof === undefined || keep === true) continue;
    if (outcome === 'copied' || outcome === 'already' || outcome === 'refreshed') {
      proven.set(object, { key: object, etag, targetKey: target });
    }
  }
  return [...proven.values()];
}

async function deleteBatch(
  context: MoveContext,
  batch: readonly Proven[],
  named: NamedKeys,
  signal: AbortSignal,
): Promise<ShardResult<Tally>> {
  const tally = emptyTally();
  const details: DetailLine[] = [];
  const record = (key: string, outcome: DeleteOutcomeName, more: DetailLine = {}): void => {
    tally.deletes[outcome]++;
    details.push({ object: key, outcome, ...more });
  };
  const stillNamed = await askAgain(context, batch, named, signal);
  const targets = await observe(
    context.target,
    batch.map(({ targetKey }) => targetKey),
    { concurrency: OBSERVE_LANES, signal },
  );
  let free: Proven[] = [];
  for (const object of batch) {
    if (stillNamed.has(object.key)) record(object.key, 'named');
    // Whatever became of the copy since its proof, the source is not the one to go then.
    else if (!targets.has(object.targetKey)) record(object.key, 'changed', { gone: object.targetKey });
    else free.push(object);
  }
  const conditional = context.sourceCapabilities.conditionalDelete;
  if (conditional === 'none') {
    const now = await observe(
      context.source,
      free.map(({ key }) => key),
      { concurrency: OBSERVE_LANES, signal },
    );
    for (const { key, etag } of free) {
      const found = now.get(key);
      if (found === undefined) record(key, 'absent');
      else if (found.etag !== etag) record(key, 'changed');
    }
    free = free.filter(({ key, etag }) => now.get(key)?.etag === etag);
  }
  context.failpoint('before-delete');
  const outcomes = await deleteAll(context, free, conditional, signal);
  context.failpoint('after-delete');
  for (const [i, { key, etag }] of free.entries()) {
    const outcome = outcomes[i]!;
    if (outcome.kind === 'deleted') record(key, 'deleted', { etag, marker: outcome.markerVersionId });
    else if (outcome.kind === 'absent' || outcome.kind === 'changed') record(key, outcome.kind);
    else record(key, 'refused', { error: { code: outcome.code, message: outcome.message } });
  }
  return { outcome: tally, details };
}

async function deleteAll(
  context: MoveContext,
  objects: readonly Proven[],
  conditional: 'batch' | 'single' | 'none',
  signal: AbortSignal,
): Promise<DeleteOutcome[]> {
  if (conditional === 'single') {
    return mapConcurrent(
      objects,
      SINGLE_LANES,
      async (object) => (await context.source.delete([object], signal))[0]!,
    );
  }
  const requests = conditional === 'batch' ? objects : objects.map(({ key }) => ({ key }));
  return requests.length === 0 ? [] : context.source.delete(requests, signal);
}

/** The keys of a batch that a row names now. */
async function askAgain(
  context: MoveContext,
  batch: readonly Proven[],
  named: NamedKeys,
  signal: AbortSignal,
): Promise<Set<string>> {
  const keysNamed = await named.current();
  if (keysNamed === undefined) {
    throw new LongshoreError('DATABASE_CONFLICT', 'more and more rows name the source', {
      hint: 'nothing more is deleted; let the application write to the new place first',
    });
  }
  const found = new Set(batch.filter(({ key }) => keysNamed.has(key)).map(({ key }) => key));
  if (context.columns.length > 0 && rowsAreIndexed(context.columns)) {
    const keys = new Map(batch.map(({ key }) => [key, true]));
    for (const row of await rowsNaming(context, keys, signal)) {
      for (const reference of row.references) found.add(reference.sourceKey);
    }
  }
  return found;
}
