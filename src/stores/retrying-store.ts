/**
 * A store that tries again what may pass, with full-jitter back-off.
 *
 * After an answer that leaves open whether the work was done, a copy is not simply repeated: the target is asked
 * first, and an object that is there now is handed to the proof as one that exists.
 */

import { Readable } from 'node:stream';
import { LongshoreError } from '../errors.ts';
import { type RetryHooks, type RetryPolicy, withRetry } from '../flow/retry.ts';
import type { CopyOutcome, CopyRequest, ObjectStore, PutRequest } from './object-store.ts';
import { type OperationCost, StoreWrapper, unwrap } from './store-wrapper.ts';

export class RetryingStore extends StoreWrapper {
  readonly #policy: RetryPolicy;
  readonly #hooks: RetryHooks;

  constructor(inner: ObjectStore, policy: RetryPolicy, hooks: RetryHooks) {
    super(inner);
    this.#policy = policy;
    this.#hooks = hooks;
  }

  protected around<T>(
    _: OperationCost,
    _key: string,
    call: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    return withRetry(call, this.#policy, { ...this.#hooks, signal });
  }

  override copyFrom(source: ObjectStore, request: CopyRequest, signal?: AbortSignal): Promise<CopyOutcome> {
    let open = false;
    return withRetry(
      async () => {
        if (open && request.ifAbsent && (await this.inner.head(request.targetKey, signal)) !== undefined) {
          return { kind: 'target-exists' } as const;
        }
        try {
          return await this.inner.copyFrom(unwrap(source), request, signal);
        } catch (error) {
          // Once open it stays so, whatever the next attempt ends with.
          open ||= isOpen(error);
          throw error;
        }
      },
      this.#policy,
      { ...this.#hooks, signal },
    );
  }

  /** A body that is a stream can be sent once only; whoever made it makes another. */
  override put(request: PutRequest, signal?: AbortSignal): Promise<CopyOutcome> {
    return request.body instanceof Readable ? this.inner.put(request, signal) : super.put(request, signal);
  }
}

/** Whether the work may have been done in spite of the error. */
function isOpen(error: unknown): boolean {
  return (
    error instanceof LongshoreError && (error.code === 'STORE_TIMEOUT' || error.code === 'STORE_UNAVAILABLE')
  );
}
