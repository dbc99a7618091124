/**
 * The delete stage: takes moved objects out of the source, each only if it still has the ETag that was proven and
 * no row names it, asked again at that moment.
 */

import type { DetailLine, Journal } from '../../engine/journal.ts';
import type { ShardResult } from '../../engine/local-engine.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import type { DeleteOutcome } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveContext, MoveScope } from './context.ts';
import { rowsAreIndexed, rowsNaming } from './copy-stage.ts';
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
}

/**
 * @param named source keys that some row names, read just before; see {@link namedKeys}
 */
export async function runDeleteShard(
  context: MoveContext,
  spec: DeleteSpec,
  named: ReadonlySet<string>,
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
    const { object, etag, outcome, proof, keep } = line;
    if (typeof object !== 'string' || typeof etag !== 'string') continue;
    if (proof === undefined || keep === true) continue;
    if (outcome === 'copied' || outcome === 'already' || outcome === 'refreshed') {
      proven.set(object, { key: object, etag });
    }
  }
  return [...proven.values()];
}

async function deleteBatch(
  context: MoveContext,
  batch: readonly Proven[],
  named: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<ShardResult<Tally>> {
  const tally = emptyTally();
  const details: DetailLine[] = [];
  const record = (key: string, outcome: DeleteOutcomeName, more: DetailLine = {}): void => {
    tally.deletes[outcome]++;
    details.push({ object: key, outcome, ...more });
  };
  const stillNamed = await askAgain(context, batch, named, signal);
  let free = batch.filter(({ key }) => !stillNamed.has(key));
  for (const { key } of batch) if (stillNamed.has(key)) record(key, 'named');
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
  named: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Set<string>> {
  const found = new Set(batch.filter(({ key }) => named.has(key)).map(({ key }) => key));
  if (context.columns.length > 0 && rowsAreIndexed(context.columns)) {
    const keys = new Map(batch.map(({ key }) => [key, true]));
    for (const row of await rowsNaming(context, keys, signal)) {
      for (const reference of row.references) found.add(reference.sourceKey);
    }
  }
  return found;
}

/** More than this many named keys after everything was moved means that rows keep coming; then nothing is deleted. */
const NAMED_KEYS_MAX = 500_000;

/**
 * Reads every column and collects the source keys that rows name in any spelling, presigned URLs included.
 * @returns undefined when there are too many to hold
 */
export async function namedKeys(scope: MoveScope, signal: AbortSignal): Promise<Set<string> | undefined> {
  const named = new Set<string>();
  const needles = scope.finder.needles();
  const options = { batchRows: BATCH_KEYS, ...(needles.length === 0 ? {} : { needles }) };
  for (const column of scope.columns) {
    for await (const rows of column.database.scan(column.facts, {}, options, signal)) {
      for (const { value } of rows) {
        for (const reference of scope.finder.find(value, column.facts.within)) {
          named.add(reference.sourceKey);
          for (const { sourceKey } of reference.alternatives ?? []) named.add(sourceKey);
        }
        for (const key of scope.finder.findPresigned(value, column.facts.within)) named.add(key);
      }
      if (named.size > NAMED_KEYS_MAX) return undefined;
    }
  }
  return named;
}
