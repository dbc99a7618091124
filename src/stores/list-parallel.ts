/**
 * Lists a prefix in parallel, never one page after another: the key space is cut into ranges, and whoever is idle
 * takes the upper half of a range that is still being listed.
 *
 * A cut is a guess and costs nothing but a request when it is wrong: a range that turns out empty is done, and the
 * lower half is cut again at its next page. Given split points (sampled from the rows that name the keys) the
 * ranges are right from the start. Every key belongs to exactly one range, whatever the guesses were.
 */

import { compareKeys, keyBetween, prefixEnd } from './key-order.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';

/** Keys after `after`, up to and including `upTo`; undefined is unbounded. Plain data. */
export interface KeySpan {
  readonly after?: string | undefined;
  readonly upTo?: string | undefined;
}

/** A page and the span it covers: the store holds nothing else between `after` and `upTo`. */
export interface ListedSpan extends KeySpan {
  readonly objects: readonly ListedObject[];
}

export interface ListParallelOptions {
  readonly prefix: string;
  readonly lanes: number;
  /** Keys that cut the space into ranges of about one size; in any order. */
  readonly splitPoints?: readonly string[];
  readonly pageKeysMax?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `onSpan` for every page, in no order, at most `lanes` at once; a slow `onSpan` slows the listing.
 * Spans do not overlap and leave no gap, the empty ends included.
 */
export async function listParallel(
  store: ObjectStore,
  options: ListParallelOptions,
  onSpan: (span: ListedSpan) => Promise<void> | void,
): Promise<void> {
  const { prefix, lanes, signal } = options;
  const waiting = initialSpans(prefix, options.splitPoints ?? []);
  let active = 0;
  let failed: { error: unknown } | undefined;
  let wake: (() => void)[] = [];
  const wakeAll = (): void => {
    const sleepers = wake;
    wake = [];
    for (const resolve of sleepers) resolve();
  };

  async function listSpan(span: KeySpan): Promise<void> {
    let after = span.after;
    let upTo = span.upTo;
    let first: string | undefined;
    for (;;) {
      signal?.throwIfAborted();
      if (failed !== undefined) return;
      const request = { prefix, startAfter: after, limit: options.pageKeysMax };
      const page = await store.list(request, signal);
      const objects = upTo === undefined ? page.objects : upToKey(page.objects, upTo);
      const last = objects.at(-1)?.key;
      const done = !page.more || objects.length < page.objects.length || last === undefined || last === upTo;
      if (done) {
        await onSpan({ after, upTo, objects });
        return;
      }
      await onSpan({ after, upTo: last, objects });
      after = last;
      first ??= objects[0]!.key;
      // Someone is idle: leave the upper half to them.
      if (lanes - active > waiting.length) {
        const middle = cutPoint(prefix, first, last, upTo);
        if (middle !== undefined) {
          waiting.push({ after: middle, upTo });
          upTo = middle;
          wakeAll();
        }
      }
    }
  }

  async function lane(): Promise<void> {
    for (;;) {
      if (failed !== undefined) return;
      const span = waiting.shift();
      if (span === undefined) {
        if (active === 0) return;
        await new Promise<void>((resolve) => wake.push(resolve));
        continue;
      }
      active++;
      try {
        await listSpan(span);
      } catch (error) {
        failed ??= { error };
      } finally {
        active--;
        if (active === 0 || failed !== undefined) wakeAll();
      }
    }
  }

  await Promise.all(Array.from({ length: lanes }, lane));
  if (failed !== undefined) throw failed.error;
}

/**
 * Where to cut what is left of a span after `last`, of which `first` was the first key; undefined where there is
 * no room.
 *
 * In the middle of the key space, were keys spread evenly. But keys share long heads (`tenants/eu-west-1/avatar-000`),
 * and most cuts would go above all of them. What `first` and `last` share, the keys to come probably share in part:
 * the cut is made behind half of what is not known yet, and an empty upper half then says that they share that half.
 */
export function cutPoint(
  prefix: string,
  first: string,
  last: string,
  upTo: string | undefined,
): string | undefined {
  const end = upTo ?? prefixEnd(prefix);
  const points = Array.from(last);
  const known = sharedPoints(points, end ?? '');
  const guessed = sharedPoints(points, first);
  if (guessed - known > GUESS_POINTS_MIN) {
    const head = points.slice(0, Math.ceil((known + guessed) / 2)).join('');
    const middle = keyBetween(last, prefixEnd(head));
    if (middle !== undefined && (end === undefined || compareKeys(middle, end) < 0)) return middle;
  }
  return keyBetween(last, end);
}

/** Less is found out by cutting in the middle as fast. */
const GUESS_POINTS_MIN = 3;

function sharedPoints(points: readonly string[], key: string): number {
  let shared = 0;
  for (const point of key) {
    if (points[shared] !== point) break;
    shared++;
  }
  return shared;
}

/** Consecutive spans cut at the split points that lie inside the prefix. */
export function initialSpans(prefix: string, splitPoints: readonly string[]): KeySpan[] {
  const cuts = [...new Set(splitPoints)].filter((key) => key.startsWith(prefix) && key !== prefix);
  cuts.sort(compareKeys);
  const spans: KeySpan[] = [];
  let after: string | undefined;
  for (const cut of cuts) {
    spans.push({ after, upTo: cut });
    after = cut;
  }
  spans.push({ after, upTo: undefined });
  return spans;
}

function upToKey(objects: readonly ListedObject[], upTo: string): readonly ListedObject[] {
  const lastObject = objects.at(-1);
  if (lastObject === undefined || compareKeys(lastObject.key, upTo) <= 0) return objects;
  const end = objects.findIndex((object) => compareKeys(object.key, upTo) > 0);
  return objects.slice(0, end);
}

/** All objects of a span, page after page. */
export async function* listSpanPages(
  store: ObjectStore,
  prefix: string,
  span: KeySpan,
  signal?: AbortSignal,
): AsyncGenerator<readonly ListedObject[]> {
  let after = span.after;
  for (;;) {
    const page = await store.list({ prefix, startAfter: after }, signal);
    const objects = span.upTo === undefined ? page.objects : upToKey(page.objects, span.upTo);
    if (objects.length > 0) yield objects;
    if (!page.more || objects.length < page.objects.length) return;
    after = page.objects.at(-1)!.key;
    if (span.upTo !== undefined && compareKeys(after, span.upTo) >= 0) return;
  }
}
