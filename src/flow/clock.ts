/** Time as a dependency: the system's clock, replaced in tests by one that is moved by hand. */

import { setTimeout as wait } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since the epoch, for time stamps: it may be set back or forward. */
  now(): number;
  /** Milliseconds since some moment, for intervals; see {@link monotonicMs}. */
  monotonic?(): number;
  /** Resolves after that time; rejects with the signal's reason when aborted. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
}

/** For intervals. A clock that leaves it out, as those of tests do, is never set. */
export function monotonicMs(clock: Clock): number {
  return clock.monotonic?.() ?? clock.now();
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  wait: async (ms, signal) => {
    try {
      await wait(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      // Node hides the reason behind an error of its own.
      throw signal?.aborted ? signal.reason : error;
    }
  },
};
