/** Tries an operation again with full-jitter back-off, as long as its error may pass. */

import { isRetryable } from '../errors.ts';
import { type Clock, systemClock } from './clock.ts';

export interface RetryPolicy {
  /** How often at most, the first time included. */
  readonly attemptsMax: number;
  /** Upper bound of the first wait; it doubles each time. */
  readonly baseMs: number;
  readonly waitMsMax: number;
}

export const DEFAULT_RETRY: RetryPolicy = { attemptsMax: 10, baseMs: 100, waitMsMax: 20_000 };

export interface RetryHooks {
  readonly clock?: Clock | undefined;
  /** 0 ≤ x < 1 */
  readonly random?: (() => number) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly shouldRetry?: ((error: unknown) => boolean) | undefined;
  readonly onRetry?: ((error: unknown, attempt: number, waitMs: number) => void) | undefined;
}

/** The wait before attempt `attempt + 1`: uniform in [0, min(cap, base · 2^(attempt-1))) ("full jitter"). */
export function backoffMs(policy: RetryPolicy, attempt: number, random: () => number): number {
  return random() * Math.min(policy.waitMsMax, policy.baseMs * 2 ** (attempt - 1));
}

/**
 * @returns what `operation` resolves to
 * @throws the last error, when it may not pass, the attempts are used up, or the signal is aborted
 */
export async function withRetry<T>(
  operation: (attempt: number) => Promise<T>,
  policy: RetryPolicy = DEFAULT_RETRY,
  hooks: RetryHooks = {},
): Promise<T> {
  const clock = hooks.clock ?? systemClock;
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation(attempt);
    } catch (error) {
      const may = (hooks.shouldRetry ?? isRetryable)(error);
      if (!may || attempt >= policy.attemptsMax || hooks.signal?.aborted) throw error;
      const waitMs = backoffMs(policy, attempt, hooks.random ?? Math.random);
      hooks.onRetry?.(error, attempt, waitMs);
      await clock.wait(waitMs, hooks.signal);
    }
  }
}
