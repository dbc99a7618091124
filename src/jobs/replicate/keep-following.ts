/**
 * A replication that loads or follows goes on by itself after what passes: a server that restarts, a store that is away.
 * Each time it begins as a new process would, from what is in the bucket.
 */

import { isRetryable, LongshoreError, messageOf } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import { backoffMs, type RetryPolicy } from '../../flow/retry.ts';
import type { ReplicateListener } from './events.ts';

/** About ten minutes, in which nothing was loaded and nothing landed. */
const POLICY: RetryPolicy = { attemptsMax: 40, baseMs: 500, waitMsMax: 30_000 };

export interface KeepFollowingOptions {
  readonly clock: Clock;
  readonly emit: ReplicateListener;
  readonly signal: AbortSignal;
}

/**
 * @param run is called with a listener to emit to, and again after errors that pass, once it has begun to load or follow;
 *   after a conflict in any case
 * @throws what `run` throws; an error that comes after work was begun says so in its context
 */
export async function keepFollowing<T>(
  run: (emit: ReplicateListener) => Promise<T>,
  { clock, emit, signal }: KeepFollowingOptions,
): Promise<T> {
  let begun = false;
  let failures = 0;
  const listen: ReplicateListener = (event) => {
    if (event.type === 'following' || event.type === 'load-started') begun = true;
    if (event.type === 'epoch-landed' || event.type === 'chunk-loaded') failures = 0;
    emit(event);
  };
  for (;;) {
    try {
      return await run(listen);
    } catch (error) {
      if (signal.aborted) throw error;
      // Who was in the way of the beginning is gone the next time; all else is told at once.
      if (!begun && !isConflict(error)) throw error;
      if (!passes(error) || ++failures >= POLICY.attemptsMax) throw begun ? inTheMiddle(error) : error;
      const waitMs = backoffMs(POLICY, failures, Math.random);
      emit({
        type: 'notice',
        text: `${messageOf(error)}; goes on in ${(waitMs / 1000).toFixed(1)} s`,
      });
      await clock.wait(waitMs, signal);
    }
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof LongshoreError && error.code === 'DATABASE_CONFLICT';
}

/** Who holds the lock or the slot may be a connection of ours that the server still believes in. */
function passes(error: unknown): boolean {
  return isRetryable(error) || (error instanceof LongshoreError && error.code === 'RUN_LOCKED');
}

/** A check that fails now is a failure of the run. */
function inTheMiddle(error: unknown): unknown {
  if (!(error instanceof LongshoreError)) return error;
  const { code, message, hint, cause, context } = error;
  return new LongshoreError(code, message, { hint, cause, context: { ...context, changed: true } });
}
