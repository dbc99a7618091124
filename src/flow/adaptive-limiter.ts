/**
 * A limit on concurrent requests that finds its own level.
 *
 * It starts low and climbs while more concurrency brings more throughput; when the other side asks for fewer
 * requests, it halves at once, waits, and climbs slowly from there (additive increase, multiplicative decrease).
 *
 * Levels: probing (half as much again each window) → holding (where a window at a higher level brought less than
 * 5 % more, the level goes back) → probing again after some windows. A refusal at any time: the level halves, and
 * grows by one a window for a while.
 */

import type { Clock } from './clock.ts';

export interface LimiterOptions {
  readonly clock: Clock;
  readonly start: number;
  readonly max: number;
  /** Never moves from this level. */
  readonly pinned?: number | undefined;
}

export class AdaptiveLimiter {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #pinned: boolean;
  readonly #waiting: (() => void)[] = [];
  #head = 0;
  #level: number;
  #running = 0;
  #windowStartMs: number;
  #windowDone = 0;
  #windowSaturated = false;
  #probing = false;
  #rateBefore = 0;
  #levelBefore = 0;
  #holdWindows = 0;
  #refusedRecently = 0;
  #lastRefusalMs = Number.NEGATIVE_INFINITY;
  #refusals = 0;

  constructor(options: LimiterOptions) {
    this.#clock = options.clock;
    this.#max = options.max;
    this.#pinned = options.pinned !== undefined;
    this.#level = options.pinned ?? Math.min(options.start, options.max);
    this.#windowStartMs = options.clock.now();
  }

  /** How many may run now. */
  get level(): number {
    return this.#level;
  }

  get running(): number {
    return this.#running;
  }

  /** How often the other side asked for fewer. */
  get refusals(): number {
    return this.#refusals;
  }

  /** Takes a place: undefined when one was free, else a promise of one. Every place taken is given back. */
  acquire(): Promise<void> | undefined {
    if (this.#running < this.#level) {
      this.#running++;
      return undefined;
    }
    this.#windowSaturated = true;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Gives a place back and tells how it went. */
  release(outcome: 'done' | 'refused'): void {
    this.#running--;
    if (outcome === 'refused') this.#onRefusal();
    else this.#windowDone++;
    if (!this.#pinned && this.#windowDone >= WINDOW_DONE_MIN) this.#onWindow();
    while (this.#running < this.#level && this.#head < this.#waiting.length) {
      this.#running++;
      this.#waiting[this.#head++]!();
    }
    if (this.#head > 1024 && this.#head * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #onRefusal(): void {
    this.#refusals++;
    if (this.#pinned) return;
    const now = this.#clock.now();
    // One halving for the whole burst of refusals that one overload brings.
    const sinceMs = now - this.#lastRefusalMs;
    if (sinceMs >= 0 && sinceMs < REFUSAL_BURST_MS) return;
    this.#lastRefusalMs = now;
    this.#level = Math.max(1, Math.floor(this.#level / 2));
    this.#refusedRecently = CAUTIOUS_WINDOWS;
    this.#probing = false;
    this.#startWindow(now);
  }

  #onWindow(): void {
    const now = this.#clock.now();
    const elapsedMs = now - this.#windowStartMs;
    if (elapsedMs < 0) this.#startWindow(now);
    if (elapsedMs < WINDOW_MS) return;
    const rate = this.#windowDone / elapsedMs;
    const saturated = this.#windowSaturated;
    this.#startWindow(now);
    if (!saturated) return;
    if (this.#refusedRecently > 0) {
      this.#refusedRecently--;
      this.#level = Math.min(this.#max, this.#level + 1);
      return;
    }
    if (this.#holdWindows > 0) {
      this.#holdWindows--;
      return;
    }
    if (this.#probing && rate < this.#rateBefore * GAIN_MIN) {
      // More brought nothing: back to where it was, and look again later.
      this.#level = this.#levelBefore;
      this.#probing = false;
      this.#holdWindows = HOLD_WINDOWS;
      return;
    }
    this.#rateBefore = rate;
    this.#levelBefore = this.#level;
    this.#probing = true;
    this.#level = Math.min(this.#max, Math.max(this.#level + 1, Math.ceil(this.#level * 1.5)));
  }

  #startWindow(now: number): void {
    this.#windowStartMs = now;
    this.#windowDone = 0;
    this.#windowSaturated = false;
  }
}

const WINDOW_MS = 100;
const WINDOW_DONE_MIN = 16;
const REFUSAL_BURST_MS = 500;
const CAUTIOUS_WINDOWS = 50;
const HOLD_WINDOWS = 20;
const GAIN_MIN = 1.05;
