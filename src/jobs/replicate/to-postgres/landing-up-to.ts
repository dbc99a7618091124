/** A landing that takes the transactions of before a place of the log, and not one more. */

import type { Lsn } from '../../../databases/postgres/lsn.ts';
import type { ChangeLanding, Transaction } from '../landing.ts';

/**
 * The change stream ends behind a transaction, which may be one behind the place; so the stream is broken off at the first
 * change of such a one, when what came before it is landed. What was landed is not confirmed to the server then, and comes
 * behind the checkpoint next time.
 */
export class LandingUpTo {
  readonly #lsn: Lsn;
  #reached = false;

  constructor(lsn: Lsn) {
    this.#lsn = lsn;
  }

  /** Whether the stream was broken off at the place. */
  get reached(): boolean {
    return this.#reached;
  }

  around(landing: ChangeLanding, signal: AbortSignal): ChangeLanding {
    const before = async ({ commitLsn }: Transaction): Promise<void> => {
      if (commitLsn < this.#lsn) return;
      await landing.land({ lsn: this.#lsn, commitMicros: undefined }, signal);
      this.#reached = true;
      throw new Error('the end that was asked for is reached');
    };
    const isBehind = ({ commitLsn }: Transaction): boolean => commitLsn >= this.#lsn;
    return {
      get bytes() {
        return landing.bytes;
      },
      begun: (asked) => landing.begun(asked),
      relation: (relation, former, transaction) =>
        isBehind(transaction) ? before(transaction) : landing.relation(relation, former, transaction),
      insert: (relation, after, transaction) =>
        isBehind(transaction) ? before(transaction) : landing.insert(relation, after, transaction),
      update: (relation, old, oldIs, after, transaction) =>
        isBehind(transaction)
          ? before(transaction)
          : landing.update(relation, old, oldIs, after, transaction),
      delete: (relation, old, oldIs, transaction) =>
        isBehind(transaction) ? before(transaction) : landing.delete(relation, old, oldIs, transaction),
      truncate: (relations, how, transaction) =>
        isBehind(transaction) ? before(transaction) : landing.truncate(relations, how, transaction),
      // What it is called behind the place is seen by whoever follows from there.
      leave: (table, transaction) => {
        if (!isBehind(transaction)) landing.leave(table, transaction);
      },
      land: (end, asked) => landing.land(end, asked),
    };
  }
}
