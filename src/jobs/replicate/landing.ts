/** Where changes land: what the change stream calls, and what each kind of target implements. */

import type { Lsn } from '../../databases/postgres/lsn.ts';
import type { Relation, Tuple } from '../../databases/postgres/pgoutput.ts';
import type { FencedTable } from './fences.ts';

/** A transaction whose changes are being given; its commit is known already. */
export interface Transaction {
  readonly commitLsn: Lsn;
  /** Microseconds since 1970. */
  readonly commitMicros: bigint;
  readonly xid: number;
  /** Of the next change; the landing counts it up. */
  ordinal: number;
}

/** Everything up to there, and nothing behind it. */
export interface LandingEnd {
  readonly lsn: Lsn;
  /** Of the last transaction; undefined where there was none. */
  readonly commitMicros: bigint | undefined;
}

export interface Landed {
  readonly epoch: number;
  readonly files: number;
  readonly bytes: number;
}

/**
 * Takes changes in the order of commits and makes them durable in batches, each with the checkpoint that says so. Calls
 * come one after another; where one returns a promise, the next comes when it is resolved. Tuples are good during the
 * call and until its promise is resolved.
 */
export interface ChangeLanding {
  /** About how much was given and is not landed. */
  readonly bytes: number;
  /** Where a landing that a process died in was to end: the next one ends there, too. */
  begun(signal: AbortSignal): Promise<Lsn | undefined>;
  /**
   * A table is described, before its first change and whenever its columns are others; one whose identity is the whole
   * row also when something else of it may have changed.
   */
  relation(
    relation: Relation,
    before: Relation | undefined,
    transaction: Transaction,
  ): Promise<void> | undefined;
  insert(relation: Relation, after: Tuple, transaction: Transaction): Promise<void> | undefined;
  /** @param before the old row or the old key; undefined where the key is the same and nothing else is known */
  update(
    relation: Relation,
    before: Tuple | undefined,
    beforeIs: 'key' | 'row' | undefined,
    after: Tuple,
    transaction: Transaction,
  ): Promise<void> | undefined;
  delete(
    relation: Relation,
    before: Tuple,
    beforeIs: 'key' | 'row',
    transaction: Transaction,
  ): Promise<void> | undefined;
  /** A table has another name from here on: it is none of the job any more, or to be loaded again, whatever it is called later. */
  leave(table: FencedTable, transaction: Transaction): void;
  truncate(
    relations: readonly Relation[],
    how: { readonly cascade: boolean; readonly restartIdentity: boolean },
    transaction: Transaction,
  ): Promise<void> | undefined;
  /** Makes everything durable, with the checkpoint. May be called with nothing given, to move the checkpoint alone. */
  land(end: LandingEnd, signal: AbortSignal): Promise<Landed>;
}
