/** What became of objects and rows, counted. */

import type { ProofKind } from './proof.ts';

/**
 * How an object ended in a batch.
 * - `copied`: copied now, or by an attempt that died before it was recorded, and proven
 * - `already`: the target held the same before, proven
 * - `refreshed`: overwritten in the source after it was copied; the target was brought up to date
 * - `repaired`: gone from the source, present on the target; rows that named the source follow it
 * - `orphan`: no row names it and it is left where it is
 * - `collision`: the target holds other content
 * - `missing`: a row names it and it exists on neither side
 * - `failed`: an error, listed
 */
export type ObjectOutcome =
  | 'copied'
  | 'already'
  | 'refreshed'
  | 'repaired'
  | 'orphan'
  | 'collision'
  | 'missing'
  | 'failed';

/** `raced`: the row changed meanwhile and was left alone; the next pass looks at it again. */
export type RowOutcome = 'rewritten' | 'raced' | 'missing' | 'failed';

/**
 * How the deletion of a moved object ended.
 * - `absent`: gone before, by an attempt that was not recorded, or by another shard that had it too
 * - `changed`: its ETag is not the one that was proven; the next pass looks at it
 * - `named`: a row names it again
 */
export type DeleteOutcomeName = 'deleted' | 'absent' | 'changed' | 'named' | 'refused';

export interface Tally {
  objects: Record<ObjectOutcome, number>;
  rows: Record<RowOutcome, number>;
  deletes: Record<DeleteOutcomeName, number>;
  /** Of the objects that now are on the target: on which proof. */
  proofs: Record<ProofKind, number>;
  how: { server: number; parts: number; stream: number };
  bytesCopied: number;
}

export function emptyTally(): Tally {
  return {
    objects: {
      copied: 0,
      already: 0,
      refreshed: 0,
      repaired: 0,
      orphan: 0,
      collision: 0,
      missing: 0,
      failed: 0,
    },
    rows: { rewritten: 0, raced: 0, missing: 0, failed: 0 },
    deletes: { deleted: 0, absent: 0, changed: 0, named: 0, refused: 0 },
    proofs: { etag: 0, checksum: 0, bytes: 0 },
    how: { server: 0, parts: 0, stream: 0 },
    bytesCopied: 0,
  };
}

/** Adds `more` to `sum`, in place. */
export function addTally(sum: Tally, more: Tally): Tally {
  for (const group of ['objects', 'rows', 'deletes', 'proofs', 'how'] as const) {
    const to = sum[group] as Record<string, number>;
    for (const [name, count] of Object.entries(more[group])) to[name] = (to[name] ?? 0) + count;
  }
  sum.bytesCopied += more.bytesCopied;
  return sum;
}

/** Whether a pass changed anything, so that another one is due. */
export function changedAnything(tally: Tally): boolean {
  const { copied, refreshed, repaired } = tally.objects;
  return copied + refreshed + repaired + tally.rows.rewritten + tally.rows.raced > 0;
}

/** Whether the only thing left to do was rows that changed at the same moment, or that a trigger changes back. */
export function onlyRacedRows(tally: Tally): boolean {
  const { copied, refreshed, repaired } = tally.objects;
  return tally.rows.raced > 0 && copied + refreshed + repaired + tally.rows.rewritten === 0;
}
