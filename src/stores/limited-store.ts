/** A store under limits: concurrency that finds its own level, of the store and of its prefixes; requests and bytes a second. */

import type { Readable } from 'node:stream';
import { LongshoreError } from '../errors.ts';
import type { AdaptiveLimiter } from '../flow/adaptive-limiter.ts';
import type { RateLimiter } from '../flow/rate-limiter.ts';
import type { ObjectHead, ObjectStore } from './object-store.ts';
import type { PrefixLimits } from './prefix-limits.ts';
import { type OperationCost, StoreWrapper } from './store-wrapper.ts';

export interface StoreLimits {
  readonly concurrency: AdaptiveLimiter;
  /** Left out where concurrency is pinned. */
  readonly prefixes?: PrefixLimits | undefined;
  readonly requests?: RateLimiter | undefined;
  readonly bytes?: RateLimiter | undefined;
}

export class LimitedStore extends StoreWrapper {
  readonly limits: StoreLimits;

  constructor(inner: ObjectStore, limits: StoreLimits) {
    super(inner);
    this.limits = limits;
  }

  /** How much is read is known by the answer. */
  override async get(
    request: { key: string; etag?: string | undefined },
    signal?: AbortSignal,
  ): Promise<{ head: ObjectHead; body: Readable } | undefined> {
    const opened = await super.get(request, signal);
    if (opened === undefined) return undefined;
    const share = this.limits.bytes?.take(opened.head.sizeBytes, signal);
    try {
      if (share !== undefined) await share;
    } catch (error) {
      opened.body.destroy();
      throw error;
    }
    return opened;
  }

  protected async around<T>(
    cost: OperationCost,
    key: string,
    call: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const { concurrency, prefixes, requests, bytes } = this.limits;
    const prefix = prefixes?.of(key);
    const placeUnderPrefix = prefix?.acquire();
    if (placeUnderPrefix !== undefined) await placeUnderPrefix;
    const place = concurrency.acquire();
    if (place !== undefined) await place;
    let refused = false;
    try {
      const turn = requests?.take(cost.requests, signal);
      if (turn !== undefined) await turn;
      const share = cost.bytes === 0 ? undefined : bytes?.take(cost.bytes, signal);
      if (share !== undefined) await share;
      const result = await call();
      prefixes?.served(key);
      return result;
    } catch (error) {
      refused = error instanceof LongshoreError && error.code === 'STORE_SLOW_DOWN';
      throw error;
    } finally {
      prefix?.release(refused ? 'refused' : 'done');
      const storeIsMeant = refused && (prefixes?.refused(key) ?? true);
      concurrency.release(storeIsMeant ? 'refused' : 'done');
    }
  }
}
