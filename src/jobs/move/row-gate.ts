/** Lets row changes pass only as fast, and only when, the database can take them. */

import type { Clock } from '../../flow/clock.ts';
import { RateLimiter } from '../../flow/rate-limiter.ts';

export interface RowGateOptions {
  readonly clock: Clock;
  readonly rowsPerSecond?: number | undefined;
  readonly lagMsMax?: number | undefined;
  /** Local time of day, `22:00-06:00`. */
  readonly window?: string | undefined;
  /** Asked at most every few seconds. */
  readonly lagMs: (signal?: AbortSignal) => Promise<number | undefined>;
  readonly onWait: (untilMs: number) => void;
}

/** Size of a batch of row changes: grows while commits are quick, shrinks when they are slow. */
export class BatchSize {
  #rows = ROWS_START;

  get rows(): number {
    return this.#rows;
  }

  /** Tells how long a batch of that many rows took. */
  took(rows: number, ms: number): void {
    if (ms > SLOW_COMMIT_MS) this.#rows = Math.max(ROWS_MIN, Math.floor(this.#rows / 2));
    else if (ms < QUICK_COMMIT_MS && rows >= this.#rows) {
      this.#rows = Math.min(ROWS_MAX, Math.ceil(this.#rows * 1.5));
    }
  }

  /** A batch that lost against other transactions. */
  conflicted(): void {
    this.#rows = Math.max(ROWS_MIN, Math.floor(this.#rows / 2));
  }
}

const ROWS_START = 500;
const ROWS_MIN = 10;
const ROWS_MAX = 2000;
const QUICK_COMMIT_MS = 100;
const SLOW_COMMIT_MS = 400;

export class RowGate {
  readonly batchSize = new BatchSize();
  readonly #options: RowGateOptions;
  readonly #rate: RateLimiter | undefined;
  #lagCheckedMs = Number.NEGATIVE_INFINITY;

  constructor(options: RowGateOptions) {
    this.#options = options;
    this.#rate =
      options.rowsPerSecond === undefined ? undefined : new RateLimiter(options.rowsPerSecond, options.clock);
  }

  /** Resolves when `rows` rows may change now. */
  async pass(rows: number, signal: AbortSignal): Promise<void> {
    await this.#rate?.take(rows, signal);
    await this.#waitForReplicas(signal);
    // Last: what was waited for before may have taken us out of it.
    await this.#waitForWindow(signal);
  }

  /** How many rows may be in one batch: no more than pass in a second. */
  get rowsMax(): number {
    return Math.min(this.batchSize.rows, Math.max(1, Math.floor(this.#options.rowsPerSecond ?? ROWS_MAX)));
  }

  async #waitForWindow(signal: AbortSignal): Promise<void> {
    const { window, clock, onWait } = this.#options;
    if (window === undefined) return;
    const waitMs = msUntilWindow(window, new Date(clock.now()));
    if (waitMs === 0) return;
    onWait(clock.now() + waitMs);
    await clock.wait(waitMs, signal);
  }

  async #waitForReplicas(signal: AbortSignal): Promise<void> {
    const { lagMsMax, lagMs, clock, onWait } = this.#options;
    if (lagMsMax === undefined || clock.now() - this.#lagCheckedMs < LAG_CHECK_MS) return;
    while (((await lagMs(signal)) ?? 0) > lagMsMax) {
      onWait(clock.now() + LAG_CHECK_MS);
      await clock.wait(LAG_CHECK_MS, signal);
    }
    this.#lagCheckedMs = clock.now();
  }
}

const LAG_CHECK_MS = 2000;

/** Milliseconds until the time of day lies in the window; 0 when it does now. */
export function msUntilWindow(window: string, now: Date): number {
  const [from, to] = window.split('-').map((time) => {
    const [hours, minutes] = time.split(':').map(Number);
    return hours! * 60 + minutes!;
  });
  const minute = now.getHours() * 60 + now.getMinutes();
  const inside = from! <= to! ? minute >= from! && minute < to! : minute >= from! || minute < to!;
  if (inside) return 0;
  const minutesLeft = (from! - minute + 24 * 60) % (24 * 60);
  return minutesLeft * 60_000 - now.getSeconds() * 1000 - now.getMilliseconds();
}
