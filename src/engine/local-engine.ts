/**
 * Runs the shards of a stage on this machine: skips those done, tries again those that failed in passing, records
 * each outcome, and stops cleanly when asked to.
 *
 * A shard is open until its outcome is recorded in the journal; killed before that it is done again, so doing a
 * shard again must change nothing.
 */

import { ERROR_CODES, LongshoreError, messageOf } from '../errors.ts';
import type { Clock } from '../flow/clock.ts';
import { forEachConcurrent } from '../flow/for-each-concurrent.ts';
import { type RetryPolicy, withRetry } from '../flow/retry.ts';
import type { DetailLine, Journal, Shard } from './journal.ts';

export interface ShardResult<O> {
  readonly outcome: O;
  readonly details: readonly DetailLine[];
}

export interface StageOptions<S, O> {
  readonly stage: string;
  readonly pass: number;
  /** Shards under way at once. */
  readonly concurrency: number;
  /** Does one shard; called again after it failed or after a crash. */
  execute(spec: S, shard: Shard, signal: AbortSignal): Promise<ShardResult<O>>;
  onFinished?(outcome: O, shard: Shard): void;
  onFailed?(error: unknown, shard: Shard): void;
  onRetry?(error: unknown, shard: Shard, attempt: number): void;
}

/** How many of the stage's shards ended in which way in this call. */
export interface StageResult {
  readonly done: number;
  readonly failed: number;
}

/** What jobs need of an engine. */
export interface Engine {
  /**
   * Runs every open shard of a stage.
   * @throws the signal's reason when aborted, with all finished shards recorded
   * @throws LongshoreError of kind "check": nothing else would succeed either; the shards stay open
   */
  run<S, O>(options: StageOptions<S, O>, signal: AbortSignal): Promise<StageResult>;
}

export class LocalEngine implements Engine {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #retry: RetryPolicy;

  constructor(journal: Journal, clock: Clock, retry: RetryPolicy = SHARD_RETRY) {
    this.#journal = journal;
    this.#clock = clock;
    this.#retry = retry;
  }

  async run<S, O>(options: StageOptions<S, O>, signal: AbortSignal): Promise<StageResult> {
    let done = 0;
    let failed = 0;
    const shards = this.#journal.openShards(options.stage, options.pass);
    await forEachConcurrent(shards, options.concurrency, async (shard) => {
      signal.throwIfAborted();
      try {
        const result = await withRetry(() => options.execute(shard.spec as S, shard, signal), this.#retry, {
          clock: this.#clock,
          signal,
          onRetry: (error, attempt) => options.onRetry?.(error, shard, attempt),
        });
        this.#journal.finish(shard, 'done', result.outcome, result.details, this.#clock.now());
        done++;
        options.onFinished?.(result.outcome, shard);
      } catch (error) {
        signal.throwIfAborted();
        if (endsTheRun(error)) throw error;
        this.#journal.finish(shard, 'failed', { error: describe(error) }, [], this.#clock.now());
        failed++;
        options.onFailed?.(error, shard);
      }
    });
    signal.throwIfAborted();
    return { done, failed };
  }
}

export const SHARD_RETRY: RetryPolicy = { attemptsMax: 8, baseMs: 250, waitMsMax: 30_000 };

/** Errors without a code are bugs; errors of kind "check" would fail every other shard too. */
function endsTheRun(error: unknown): boolean {
  return !(error instanceof LongshoreError) || ERROR_CODES[error.code].exit !== 'failed';
}

/** An error as plain data, for the journal. */
export function describe(error: unknown): { code: string; message: string } {
  return { code: error instanceof LongshoreError ? error.code : 'BUG', message: messageOf(error) };
}
