/** A store under limits: concurrency that finds its own level, requests a second, bytes a second. */

import { LongshoreError } from '../errors.ts';
import type { AdaptiveLimiter } from '../flow/adaptive-limiter.ts';
import type { RateLimiter } from '../flow/rate-limiter.ts';
import type { ObjectStore } from './object-store.ts';
import { type OperationCost, StoreWrapper } from './store-wrapper.ts';

export interface StoreLimits {
  readonly concurrency: AdaptiveLimiter;
  readonly requests?: RateLimiter | undefined;
  readonly bytes?: RateLimiter | undefined;
}

export class LimitedStore extends StoreWrapper {
  readonly limits: StoreLimits;

  constructor(inner: ObjectStore, limits: StoreLimits) {
    super(inner);
    this.limits = limits;
  }

  protected async around<T>(
    cost: OperationCost,
    call: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const { concurrency, requests, bytes } = this.limits;
    const place = concurrency.acquire();
    if (place !== undefined) await place;
    let outcome: 'done' | 'refused' = 'done';
    try {
      const turn = requests?.take(cost.requests, signal);
      if (turn !== undefined) await turn;
      const share = cost.bytes === 0 ? undefined : bytes?.take(cost.bytes, signal);
      if (share !== undefined) await share;
      return await call();
    } catch (error) {
      if (error instanceof LongshoreError && error.code === 'STORE_SLOW_DOWN') outcome = 'refused';
      throw error;
    } finally {
      concurrency.release(outcome);
    }
  }
}
