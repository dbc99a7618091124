/** The base of wrappers around a store: every operation passes through one method, `around`. */

import type { Readable } from 'node:stream';
import type {
  BucketSettings,
  CopyOutcome,
  CopyRequest,
  DeleteOutcome,
  DeleteRequest,
  ListPage,
  ObjectHead,
  ObjectStore,
  ObjectTag,
  PutRequest,
  StoreCapabilities,
} from './object-store.ts';

export type StoreOperation =
  | 'list'
  | 'head'
  | 'get'
  | 'put'
  | 'copy'
  | 'delete'
  | 'tags'
  | 'acl'
  | 'settings';

/** What passes: how many requests of the store's quota it costs, and how many bytes go through us. */
export interface OperationCost {
  readonly operation: StoreOperation;
  readonly requests: number;
  readonly bytes: number;
}

export abstract class StoreWrapper implements ObjectStore {
  readonly inner: ObjectStore;

  constructor(inner: ObjectStore) {
    this.inner = inner;
  }

  /**
   * Calls `call`, now, later, or more than once.
   * @param key what it is about: a key, the first of many, or a prefix
   */
  protected abstract around<T>(
    cost: OperationCost,
    key: string,
    call: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T>;

  get kind(): 's3' | 'files' {
    return this.inner.kind;
  }
  get name(): string {
    return this.inner.name;
  }
  get bucket(): string {
    return this.inner.bucket;
  }

  list(
    request: { prefix: string; startAfter?: string | undefined; limit?: number | undefined },
    signal?: AbortSignal,
  ): Promise<ListPage> {
    return this.around(
      LIST,
      request.startAfter ?? request.prefix,
      () => this.inner.list(request, signal),
      signal,
    );
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    return this.around(HEAD, key, () => this.inner.head(key, signal), signal);
  }

  partLayout(
    key: string,
    signal?: AbortSignal,
  ): Promise<{ firstPartBytes: number; partsCount: number } | undefined> {
    return this.around(HEAD, key, () => this.inner.partLayout(key, signal), signal);
  }

  get(
    request: { key: string; etag?: string | undefined },
    signal?: AbortSignal,
  ): Promise<{ head: ObjectHead; body: Readable } | undefined> {
    return this.around(GET, request.key, () => this.inner.get(request, signal), signal);
  }

  put(request: PutRequest, signal?: AbortSignal): Promise<CopyOutcome> {
    // Of a size that nobody knows, nothing is known to keep it back by.
    const cost = { operation: 'put', requests: 1, bytes: request.sizeBytes ?? 0 } as const;
    return this.around(cost, request.key, () => this.inner.put(request, signal), signal);
  }

  canCopyFrom(source: ObjectStore): boolean {
    return this.inner.canCopyFrom(unwrap(source));
  }

  copyFrom(source: ObjectStore, request: CopyRequest, signal?: AbortSignal): Promise<CopyOutcome> {
    const { sizeBytes, partBytes } = request;
    // In parts: one request a part, and those that read, begin and complete.
    const requests =
      sizeBytes === undefined || partBytes === undefined ? 1 : 3 + Math.ceil(sizeBytes / partBytes);
    const cost = requests === 1 ? COPY : { ...COPY, requests };
    return this.around(
      cost,
      request.targetKey,
      () => this.inner.copyFrom(unwrap(source), request, signal),
      signal,
    );
  }

  delete(requests: readonly DeleteRequest[], signal?: AbortSignal): Promise<DeleteOutcome[]> {
    // S3 counts every key of a batch as one write.
    const cost = { operation: 'delete', requests: requests.length, bytes: 0 } as const;
    return this.around(cost, requests[0]?.key ?? '', () => this.inner.delete(requests, signal), signal);
  }

  tags(key: string, signal?: AbortSignal): Promise<ObjectTag[]> {
    return this.around(TAGS, key, () => this.inner.tags(key, signal), signal);
  }

  copyAcl(source: ObjectStore, sourceKey: string, targetKey: string, signal?: AbortSignal): Promise<void> {
    return this.around(
      ACL,
      targetKey,
      () => this.inner.copyAcl(unwrap(source), sourceKey, targetKey, signal),
      signal,
    );
  }

  capabilities(prefix: string, signal?: AbortSignal): Promise<StoreCapabilities> {
    return this.inner.capabilities(prefix, signal);
  }

  settings(signal?: AbortSignal): Promise<BucketSettings> {
    return this.around(SETTINGS, '', () => this.inner.settings(signal), signal);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.inner[Symbol.asyncDispose]();
  }
}

/** The store itself, under all wrappers. */
export function unwrap(store: ObjectStore): ObjectStore {
  let inner = store;
  while (inner instanceof StoreWrapper) inner = inner.inner;
  return inner;
}

const LIST = { operation: 'list', requests: 1, bytes: 0 } as const;
const HEAD = { operation: 'head', requests: 1, bytes: 0 } as const;
const GET = { operation: 'get', requests: 1, bytes: 0 } as const;
const COPY = { operation: 'copy', requests: 1, bytes: 0 } as const;
const TAGS = { operation: 'tags', requests: 1, bytes: 0 } as const;
const ACL = { operation: 'acl', requests: 2, bytes: 0 } as const;
const SETTINGS = { operation: 'settings', requests: 4, bytes: 0 } as const;
