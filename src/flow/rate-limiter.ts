/** A token bucket: at most so many units a second, with a burst of at most one second's worth. */

import type { Clock } from './clock.ts';

export class RateLimiter {
  readonly #clock: Clock;
  readonly #perSecond: number;
  #freeAtMs = 0;
  #askedMs = 0;

  /** @param perSecond units a second; more than 0 */
  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  /** Waits until `units` may pass; undefined when they may pass now. Larger amounts than the rate wait longer. */
  take(units: number, signal?: AbortSignal): Promise<void> | undefined {
    const now = this.#clock.now();
    // A clock that was set back takes the appointments with it.
    if (now < this.#askedMs) this.#freeAtMs -= this.#askedMs - now;
    this.#askedMs = now;
    const start = Math.max(this.#freeAtMs, now - 1000);
    this.#freeAtMs = start + (units / this.#perSecond) * 1000;
    const waitMs = this.#freeAtMs - now;
    return waitMs <= 0 ? undefined : this.#clock.wait(waitMs, signal);
  }
}
