/** Holds the journal of a run against the two buckets as they are now. */

import type { DetailLine, Journal } from '../../engine/journal.ts';
import type { ListedObject } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { MoveScope } from './context.ts';
import type { DeleteSpec } from './delete-stage.ts';
import type { TargetClaims } from './target-claims.ts';
import type { Violations } from './violations.ts';

export interface JournalVerified {
  /** Objects that the journal says were moved and are still in the source. */
  readonly movedChecked: number;
  /** Objects that the journal says were deleted from the source. */
  readonly deletionsChecked: number;
  /** Of both, objects that were overwritten on either side since. */
  readonly overwrittenSince: number;
  /** Of both, objects that the target no longer has and no row names: the application took them away since. */
  readonly goneSince: number;
}

/** An object as its proof was recorded. */
export interface RecordedMove {
  readonly key: string;
  readonly targetKey: string;
  readonly etag: string;
  readonly targetEtag: string;
  /** Whether the run deleted it from the source. */
  readonly deleted: boolean;
}

type Seen = Pick<ListedObject, 'etag' | 'sizeBytes'>;

/**
 * | source | target | deleted by the run | verdict |
 * | --- | --- | --- | --- |
 * | any | absent | yes | absent |
 * | as recorded | absent | no | absent |
 * | another, or absent | absent | no | gone: the application deleted or replaced what had been moved |
 * | as recorded | as recorded, other size | no | differs |
 * | as recorded, or absent | as recorded | any | holds |
 * | another | as recorded | any | overwritten, in the source: the next run follows it |
 * | any | another | any | overwritten, on the target |
 */
export function judge(
  recorded: RecordedMove,
  source: Seen | undefined,
  target: Seen | undefined,
): 'holds' | 'overwritten' | 'gone' | 'absent' | 'differs' {
  const sourceIsSame = source !== undefined && source.etag === recorded.etag;
  if (target === undefined) return recorded.deleted || sourceIsSame ? 'absent' : 'gone';
  if (target.etag !== recorded.targetEtag || (source !== undefined && !sourceIsSame)) return 'overwritten';
  return source !== undefined && source.sizeBytes !== target.sizeBytes ? 'differs' : 'holds';
}

const BATCH_KEYS = 1000;

/**
 * Looks for every object that the run proved, by its newest record, on both sides; `newest` knows those of later runs. The columns were read before:
 * where there are any, a row that names an absent object is told already, and without one it may be absent.
 */
export async function verifyJournal(
  scope: MoveScope,
  journal: Journal,
  { violations, newest }: { readonly violations: Violations; readonly newest: TargetClaims },
  signal: AbortSignal,
): Promise<JournalVerified> {
  const verified = { movedChecked: 0, deletionsChecked: 0, overwrittenSince: 0, goneSince: 0 };
  const look = { concurrency: OBSERVE_LANES, signal };
  for (const moves of recordedMoves(journal, newest)) {
    const [sources, targets] = await Promise.all([
      observe(
        scope.source,
        moves.map(({ key }) => key),
        look,
      ),
      observe(
        scope.target,
        moves.map(({ targetKey }) => targetKey),
        look,
      ),
    ]);
    for (const recorded of moves) {
      const { key, targetKey, deleted } = recorded;
      if (deleted) verified.deletionsChecked++;
      else verified.movedChecked++;
      const verdict = judge(recorded, sources.get(key), targets.get(targetKey));
      if (verdict === 'overwritten') verified.overwrittenSince++;
      else if (verdict === 'gone' || (verdict === 'absent' && scope.columns.length > 0)) verified.goneSince++;
      else if (verdict === 'differs') {
        violations.add({
          promise: 2,
          what: `differs in size from its copy ${scope.target.name}/${targetKey}`,
          key,
        });
      } else if (verdict === 'absent') {
        const was = deleted ? 'was deleted from the source' : 'counts as moved';
        violations.add({ promise: 2, what: `${was} and is not on the target as ${targetKey}`, key });
      }
    }
  }
  return verified;
}

/** What the shards proved, newest first, in batches; of an object recorded several times the newest record. */
function* recordedMoves(journal: Journal, newest: TargetClaims): Generator<RecordedMove[]> {
  const deleteShards = new Map<number, number>();
  for (const { id, spec, state } of journal.finished({ stage: 'delete' })) {
    if (state === 'done') deleteShards.set((spec as DeleteSpec).shard, id);
  }
  for (const shard of journal.finished({}, 'desc')) {
    if (shard.state !== 'done' || (shard.stage !== 'copy' && shard.stage !== 'sweep')) continue;
    const deleteShard = deleteShards.get(shard.id);
    const deleted = new Set(
      deleteShard === undefined ? [] : journal.details(deleteShard).flatMap(deletedKey),
    );
    let batch: RecordedMove[] = [];
    for (const line of journal.details(shard.id)) {
      const recorded = recordedMove(line, deleted);
      if (recorded === undefined || newest.claim(recorded.key, `${journal.folder} ${shard.id}`) !== undefined)
        continue;
      batch.push(recorded);
      if (batch.length < BATCH_KEYS) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }
}

function deletedKey({ object, outcome }: DetailLine): string[] {
  return (outcome === 'deleted' || outcome === 'absent') && typeof object === 'string' ? [object] : [];
}

const MOVED: ReadonlySet<unknown> = new Set(['copied', 'already', 'refreshed']);

function recordedMove(line: DetailLine, deleted: ReadonlySet<string>): RecordedMove | undefined {
  const { object: key, target: targetKey, etag, targetEtag, outcome, proof } = line;
  if (typeof key !== 'string' || typeof targetKey !== 'string' || typeof etag !== 'string') return undefined;
  if (proof === undefined || !MOVED.has(outcome)) return undefined;
  return {
    key,
    targetKey,
    etag,
    targetEtag: typeof targetEtag === 'string' ? targetEtag : etag,
    deleted: deleted.has(key),
  };
}
