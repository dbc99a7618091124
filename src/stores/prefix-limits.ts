/**
 * Limits of single prefixes of a store.
 *
 * S3 keeps its keys in partitions and answers SlowDown for the one that is asked too much, while the others have
 * room. A prefix (a key up to its last slash) that is refused while another one is served gets a limiter of its own,
 * below that of the store, until it was not refused for a minute. Refusals of many prefixes at once, or of the only
 * one in use, mean the store.
 */

import { AdaptiveLimiter } from '../flow/adaptive-limiter.ts';
import type { Clock } from '../flow/clock.ts';

export class PrefixLimits {
  readonly #clock: Clock;
  readonly #store: AdaptiveLimiter;
  readonly #limited = new Map<string, { readonly limiter: AdaptiveLimiter; refusedMs: number }>();
  /** The two prefixes that were served last, newest first. */
  #served: readonly { readonly prefix: string; atMs: number }[] = [];

  constructor(clock: Clock, store: AdaptiveLimiter) {
    this.#clock = clock;
    this.#store = store;
  }

  /** The limiter of the prefix that a key is under, if it has one of its own now. */
  of(key: string): AdaptiveLimiter | undefined {
    return this.#limited.size === 0 ? undefined : this.#limited.get(prefixOf(key))?.limiter;
  }

  /** To be told of every request that was served. */
  served(key: string): void {
    const prefix = prefixOf(key);
    const atMs = this.#clock.now();
    const [newest] = this.#served;
    if (newest?.prefix === prefix) newest.atMs = atMs;
    else this.#served = newest === undefined ? [{ prefix, atMs }] : [{ prefix, atMs }, newest];
    const limited = this.#limited.get(prefix);
    if (limited !== undefined && atMs - limited.refusedMs > FORGET_MS) this.#limited.delete(prefix);
  }

  /**
   * To be told of every request that was refused.
   * @returns whether the store is asked too much, and not this prefix alone
   */
  refused(key: string): boolean {
    const prefix = prefixOf(key);
    const now = this.#clock.now();
    const limited = this.#limited.get(prefix);
    if (limited !== undefined) limited.refusedMs = now;
    else if (!this.#othersAreServed(prefix, now)) return true;
    else {
      const level = Math.max(1, Math.floor(this.#store.level / 2));
      const limiter = new AdaptiveLimiter({ clock: this.#clock, start: level, max: this.#store.level });
      this.#limited.set(prefix, { limiter, refusedMs: now });
    }
    let refusedNow = 0;
    for (const [other, { refusedMs }] of this.#limited) {
      if (now - refusedMs < RECENT_MS) refusedNow++;
      else if (now - refusedMs > FORGET_MS) this.#limited.delete(other);
    }
    if (refusedNow < STORE_IS_MEANT) return false;
    this.#limited.clear();
    return true;
  }

  #othersAreServed(prefix: string, now: number): boolean {
    return this.#served.some(
      (served) =>
        served.prefix !== prefix && now - served.atMs < RECENT_MS && !this.#limited.has(served.prefix),
    );
  }
}

const RECENT_MS = 1000;
const FORGET_MS = 60_000;
/** As many prefixes refused within {@link RECENT_MS} are a store that is asked too much. */
const STORE_IS_MEANT = 4;

function prefixOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}
