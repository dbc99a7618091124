/** Lays a move out: lists the source in parallel, cuts it into shards, and looks for what would collide. */

import { compareKeys } from '../../stores/key-order.ts';
import { type ListedSpan, listParallel } from '../../stores/list-parallel.ts';
import type { ListedObject } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import { isBatchFile } from './batch-place.ts';
import type { BoundColumn, MoveScope } from './context.ts';
import { compareByEtag, plainMd5 } from './proof.ts';

/** A shard of the copy stage: the objects between two keys of the source. Plain data. */
export interface CopySpec {
  readonly prefix: string;
  readonly after?: string | undefined;
  readonly upTo?: string | undefined;
  /** As counted when the shard was laid out. */
  readonly objects: number;
  readonly bytes: number;
  /** Source keys whose target existed when the shard was laid out; absent where nobody looked. */
  readonly existing?: readonly string[] | undefined;
}

/** A shard of single keys. Plain data. */
export interface KeysSpec extends CopySpec {
  readonly keys: readonly string[];
}

/** Two objects that want one place. */
export interface Collision {
  readonly sourceKey: string;
  readonly targetKey: string;
  readonly why: 'target-differs' | 'two-sources' | 'too-long' | 'empty';
  readonly otherSourceKey?: string | undefined;
}

export interface LayOutSink {
  /** @param objects those of the shard, in the order of keys */
  onShard(spec: CopySpec, objects: readonly ListedObject[]): void;
  onCollision(collision: Collision): void;
  /** Objects that the rules or filters leave out. */
  onSkipped?(count: number): void;
  onObjects?(objects: readonly ListedObject[]): void;
  /** Every span of a listed prefix, the empty ones too, before rules and filters. */
  onSpan?(prefix: string, span: ListedSpan): void;
}

export interface LayOutOptions {
  /** Look at the target of every object, to find what is there already and what differs. */
  readonly lookAtTarget: boolean;
  /** Decides whether two sources were seen to map to one target; given where the rules cannot rule it out. */
  readonly claimTarget?: ((targetKey: string, sourceKey: string) => string | undefined) | undefined;
}

export async function layOut(
  scope: MoveScope,
  options: LayOutOptions,
  sink: LayOutSink,
  signal: AbortSignal,
): Promise<void> {
  const splitPoints = await sampleSplitPoints(scope, signal);
  for (const prefix of scope.rules.sourcePrefixes) {
    await listParallel(
      scope.source,
      { prefix, lanes: scope.settings.listLanes, splitPoints, signal },
      async (span) => {
        sink.onSpan?.(prefix, span);
        const chosen = span.objects.filter((object) => isCandidate(scope, object.key));
        sink.onSkipped?.(span.objects.length - chosen.length);
        if (chosen.length === 0) return;
        sink.onObjects?.(chosen);
        const existing = await checkTargets(scope, options, chosen, sink, signal);
        const spec = {
          prefix,
          after: span.after,
          upTo: chosen.length === span.objects.length ? span.objects.at(-1)!.key : chosen.at(-1)!.key,
          objects: chosen.length,
          bytes: chosen.reduce((sum, object) => sum + object.sizeBytes, 0),
          existing,
        };
        sink.onShard(spec, chosen);
      },
    );
  }
}

/** Whether the move concerns a key: it matches a rule and the filters, and is not one of our own. */
export function isCandidate(scope: MoveScope, key: string): boolean {
  return (
    !key.includes(PROBE_MARK) &&
    !isBatchFile(key) &&
    scope.rules.targetOf(key) !== undefined &&
    scope.selects(key)
  );
}

const PROBE_MARK = '.longshore-probe-';

/** What is wrong with the targets of some objects, told to the sink. @returns source keys whose target exists; undefined where nobody looked */
export async function checkTargets(
  scope: MoveScope,
  options: LayOutOptions,
  chosen: readonly ListedObject[],
  sink: Pick<LayOutSink, 'onCollision'>,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  const targets = chosen.map((object) => scope.rules.targetOf(object.key)!);
  for (const [i, object] of chosen.entries()) {
    const targetKey = targets[i]!;
    const problem = scope.rules.check(object.key, targetKey);
    if (problem !== undefined) {
      sink.onCollision({ sourceKey: object.key, targetKey, why: problem });
      continue;
    }
    const other = options.claimTarget?.(targetKey, object.key);
    if (other !== undefined) {
      sink.onCollision({ sourceKey: object.key, targetKey, why: 'two-sources', otherSourceKey: other });
    }
  }
  if (!options.lookAtTarget) return undefined;
  const possible = targets.filter((target, i) => scope.rules.check(chosen[i]!.key, target) === undefined);
  const found = await observe(scope.target, possible, { concurrency: OBSERVE_LANES, signal });
  if (found.size === 0) return [];
  const existing: string[] = [];
  for (const [i, object] of chosen.entries()) {
    const target = found.get(targets[i]!);
    if (target === undefined) continue;
    existing.push(object.key);
    // ETags that say nothing leave it to the proof; only what surely differs is a collision.
    const etags = { source: scope.sourceCapabilities.etag, target: scope.targetCapabilities.etag };
    if (compareByEtag(object, target, etags) === 'differs') {
      sink.onCollision({ sourceKey: object.key, targetKey: targets[i]!, why: 'target-differs' });
    } else if (await differsByMd5(scope, object, target, signal)) {
      sink.onCollision({ sourceKey: object.key, targetKey: targets[i]!, why: 'target-differs' });
    }
  }
  return existing;
}

/** Whether both ETags are MD5s of plain objects and differ; encryption, which changes ETags, is asked by HEAD. */
async function differsByMd5(
  scope: MoveScope,
  source: ListedObject,
  target: ListedObject,
  signal: AbortSignal,
): Promise<boolean> {
  if (source.etag === target.etag || source.etag.includes('-') || target.etag.includes('-')) return false;
  const [mine, theirs] = await Promise.all([
    scope.source.head(source.key, signal),
    scope.target.head(target.key, signal),
  ]);
  if (mine === undefined || theirs === undefined) return false;
  const a = plainMd5(mine, scope.sourceCapabilities.etag);
  const b = plainMd5(theirs, scope.targetCapabilities.etag);
  return a !== undefined && b !== undefined && a !== b;
}

/** Keys that cut a large listing into ranges of one size, taken from the rows that name them. */
async function sampleSplitPoints(scope: MoveScope, signal: AbortSignal): Promise<string[]> {
  const keys: string[] = [];
  for (const column of scope.columns) {
    if (column.facts.rowsEstimate < WORTH_SAMPLING_ROWS) continue;
    keys.push(...(await sampledSourceKeys(scope, column, signal)));
  }
  if (keys.length === 0) return [];
  keys.sort(compareKeys);
  const wanted = scope.settings.listLanes * RANGES_PER_LANE;
  const step = Math.max(1, Math.floor(keys.length / wanted));
  return keys.filter((_, i) => i % step === 0);
}

async function sampledSourceKeys(
  scope: MoveScope,
  column: BoundColumn,
  signal: AbortSignal,
): Promise<string[]> {
  const values = await column.database.sample(column.facts, SAMPLE_ROWS, signal);
  return values.flatMap((value) =>
    scope.finder.find(value, column.facts.within).map((reference) => reference.sourceKey),
  );
}

const WORTH_SAMPLING_ROWS = 200_000;
const SAMPLE_ROWS = 10_000;
const RANGES_PER_LANE = 4;
