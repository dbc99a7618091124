/** A program as a service is one: it writes transactions of every kind, on a connection of its own. */

import type { Session } from '../databases/postgres/open-session.ts';
import type { Sample } from './sample.ts';

export interface WriterOptions {
  readonly sample: Pick<Sample, 'transactions' | 'once'>;
  /** How long it goes on once it was told that changes are followed, in milliseconds. */
  readonly durationMs: number;
  /** When changes began to be followed, by `nowMs`; undefined before. */
  readonly followedSinceMs: () => number | undefined;
  readonly nowMs: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly onOnce: (what: string) => void;
  readonly signal: AbortSignal;
}

/** @returns how many transactions were committed */
export async function write(session: Session, options: WriterOptions): Promise<number> {
  const { sample, durationMs, followedSinceMs, nowMs, random, onOnce, signal } = options;
  let once = 0;
  for (let transactions = 0; ; transactions++) {
    signal.throwIfAborted();
    const since = followedSinceMs();
    const elapsedMs = since === undefined ? 0 : nowMs() - since;
    const next = sample.once[once];
    if (next === undefined && elapsedMs >= durationMs) return transactions;
    // What is done once is spread over the time.
    const due = next !== undefined && elapsedMs >= (durationMs * (once + 1)) / (sample.once.length + 1);
    if (due) {
      onOnce(next.what);
      once++;
    }
    const statements = due
      ? next.statements
      : sample.transactions[Math.floor(random() * sample.transactions.length)]!;
    await session.client.query(`BEGIN;\n${statements};\nCOMMIT`);
  }
}
