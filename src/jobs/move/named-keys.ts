/** The source keys that rows name now. */

import type { Clock } from '../../flow/clock.ts';
import type { MoveScope } from './context.ts';
import { isCandidate } from './lay-out.ts';

/** More than this many named keys after everything was moved means that rows keep coming; then nothing is deleted. */
const NAMED_KEYS_MAX = 500_000;
const BATCH_ROWS = 1000;

/**
 * Reads every column and collects the source keys of the move that rows name in any spelling, presigned URLs included.
 * @returns undefined when there are too many to hold
 */
export async function namedKeys(scope: MoveScope, signal: AbortSignal): Promise<Set<string> | undefined> {
  const named = new Set<string>();
  const add = (key: string): void => {
    if (isCandidate(scope, key)) named.add(key);
  };
  const needles = scope.finder.needles();
  const options = { batchRows: BATCH_ROWS, ...(needles.length === 0 ? {} : { needles }) };
  for (const column of scope.columns) {
    for await (const rows of column.database.scan(column.facts, {}, options, signal)) {
      for (const { value } of rows) {
        for (const reference of scope.finder.find(value, column.facts.within)) {
          add(reference.sourceKey);
          for (const { sourceKey } of reference.alternatives ?? []) add(sourceKey);
        }
        for (const key of scope.finder.findPresigned(value, column.facts.within)) add(key);
      }
      if (named.size > NAMED_KEYS_MAX) return undefined;
    }
  }
  return named;
}

const FRESH_MS = 60_000;
/** A reading that takes long is not made again at once. */
const FRESH_FOR_READINGS = 4;

/** {@link namedKeys}, read again when the last reading is old: deletions of many objects take their time. */
export class NamedKeys {
  readonly #scope: MoveScope;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #reading: Promise<Set<string> | undefined> | undefined;
  #freshUntilMs = 0;

  constructor(scope: MoveScope, signal: AbortSignal) {
    this.#scope = scope;
    this.#clock = scope.clock;
    this.#signal = signal;
  }

  /** @returns undefined when there are too many to hold */
  current(): Promise<ReadonlySet<string> | undefined> {
    if (this.#reading === undefined || this.#clock.now() >= this.#freshUntilMs) {
      this.#freshUntilMs = Number.POSITIVE_INFINITY;
      this.#reading = this.#read();
    }
    return this.#reading;
  }

  async #read(): Promise<Set<string> | undefined> {
    const startedMs = this.#clock.now();
    try {
      const named = await namedKeys(this.#scope, this.#signal);
      const tookMs = this.#clock.now() - startedMs;
      this.#freshUntilMs = startedMs + Math.max(FRESH_MS, FRESH_FOR_READINGS * tookMs);
      return named;
    } catch (error) {
      this.#reading = undefined;
      throw error;
    }
  }
}
