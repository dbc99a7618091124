/**
 * Whether the log that a slot gives is the one of which the files were made. A server that is set back to a state of
 * before writes other changes to the same places of its log; what tells is its slot, which was set back with it.
 *
 * A slot that stands where the files end has nothing to tell. One that stands before it was set back with its server, or
 * missed a confirmation: a process died, or a server that forgets confirmations when it crashes. So what it sends up to
 * the end of the files is held against them: the transaction of the last change must be there, at its place and with
 * its time, and behind it no change that belongs into the files.
 */

import { type Lsn, parseLsn } from '../../databases/postgres/lsn.ts';
import type { Session } from '../../databases/postgres/open-session.ts';
import { type PgoutputMessage, readPgoutput, type Tuple } from '../../databases/postgres/pgoutput.ts';
import { ReplicationStream } from '../../databases/postgres/replication-stream.ts';
import { LongshoreError } from '../../errors.ts';
import { type Fence, fenceOf } from './fences.ts';
import type { Manifest } from './manifest.ts';

/** How often the server is asked how far it has read. */
const ASK_MS = 250;

/** Where the slot stands before the end of the files. @param newest of the manifests; older ones cannot be compared */
export function needsComparison(newest: Manifest, confirmedLsn: Lsn): boolean {
  return newest.lastChange !== undefined && confirmedLsn < parseLsn(newest.toLsn);
}

/**
 * Reads the log from where the slot stands to the end of the files; confirms nothing.
 * @param session that speaks the replication protocol
 * @returns whether it is that of the files
 */
export async function isSameLog(
  session: Session,
  slot: string,
  confirmedLsn: Lsn,
  newest: Manifest,
  nowMs: () => number,
  signal: AbortSignal,
): Promise<boolean> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const comparison = new Comparison(newest, confirmedLsn);
  const tell = (verdict: boolean | undefined): void => {
    if (verdict !== undefined) resolve(verdict);
  };
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  const stream = new ReplicationStream(
    session.client,
    {
      slot,
      publication: slot,
      from: confirmedLsn,
      // Transactions come whole and in the order of their commits.
      protocol: 1,
      onMessage: (bytes, at, end) => tell(comparison.message(readPgoutput(bytes, at, end, false))),
      onKeepalive: (walEnd) => tell(comparison.reached(walEnd)),
    },
    nowMs,
  );
  stream.done.then(
    () => reject(new LongshoreError('DATABASE_UNREACHABLE', 'the server ended the change stream')),
    reject,
  );
  const timer = setInterval(() => stream.report(true), ASK_MS);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
    signal.removeEventListener('abort', stop);
    stream.end();
  }
}

/** Each step says whether the log is the same, or undefined while that is open. */
class Comparison {
  readonly #tables: Manifest['tables'];
  readonly #toLsn: Lsn;
  readonly #lastLsn: Lsn;
  readonly #lastMicros: bigint | undefined;
  /** Whether the transaction of the last change is still to come. */
  #owed: boolean;
  readonly #fences = new Map<number, Fence>();
  #commitLsn: Lsn | undefined;

  constructor({ tables, toLsn, lastChange }: Manifest, confirmedLsn: Lsn) {
    const { lsn, commitMicros } = lastChange!;
    this.#tables = tables;
    this.#toLsn = parseLsn(toLsn);
    this.#lastLsn = parseLsn(lsn);
    this.#lastMicros = commitMicros === undefined ? undefined : BigInt(commitMicros);
    this.#owed = this.#lastMicros !== undefined && this.#lastLsn >= confirmedLsn;
  }

  /** Everything up to there was sent. */
  reached(lsn: Lsn): boolean | undefined {
    if (this.#commitLsn !== undefined) return undefined;
    if (this.#owed && lsn > this.#lastLsn) return false;
    return lsn >= this.#toLsn ? true : undefined;
  }

  message(message: PgoutputMessage): boolean | undefined {
    switch (message.kind) {
      case 'begin':
        return this.#begin(message.commitLsn, message.commitMicros);
      case 'commit':
        this.#commitLsn = undefined;
        return undefined;
      case 'relation': {
        const fence = fenceOf(this.#tables, message.relation);
        if (fence === undefined) this.#fences.delete(message.relation.oid);
        else this.#fences.set(message.relation.oid, fence);
        return undefined;
      }
      case 'insert':
        return this.#change(message.oid, message.after);
      case 'update':
        return this.#change(message.oid, message.after, message.before);
      case 'delete':
        return this.#change(message.oid, message.before);
      case 'truncate':
        return this.#truncate(message.oids);
      default:
        return undefined;
    }
  }

  #begin(commitLsn: Lsn, commitMicros: bigint): boolean | undefined {
    if (commitLsn === this.#lastLsn && commitMicros === this.#lastMicros) this.#owed = false;
    if (this.#owed && commitLsn >= this.#lastLsn) return false;
    this.#commitLsn = commitLsn;
    return commitLsn >= this.#toLsn ? true : undefined;
  }

  /** @returns false for a change that would be in the files */
  #change(oid: number, ...rows: readonly (Tuple | undefined)[]): false | undefined {
    const fence = this.#fences.get(oid);
    const commitLsn = this.#commitLsn!;
    if (fence === undefined || commitLsn <= this.#lastLsn) return undefined;
    return rows.some((row) => row !== undefined && fence.wants(commitLsn, row)) ? false : undefined;
  }

  #truncate(oids: readonly number[]): false | undefined {
    const commitLsn = this.#commitLsn!;
    if (commitLsn <= this.#lastLsn) return undefined;
    const isWanted = (oid: number): boolean => {
      const fence = this.#fences.get(oid);
      return fence !== undefined && commitLsn >= fence.wholeFrom && commitLsn < fence.until;
    };
    return oids.some(isWanted) ? false : undefined;
  }
}
