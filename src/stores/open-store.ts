/** Opens a store by its URL and puts the wrappers around it: limits inside, retry outside. */

import { mkdir } from 'node:fs/promises';
import { DEFAULT_REGION, s3Endpoint, s3Profile, s3Region } from '../config/s3-environment.ts';
import type { StoreUrl } from '../config/store-url.ts';
import { LongshoreError } from '../errors.ts';
import { AdaptiveLimiter } from '../flow/adaptive-limiter.ts';
import type { Clock } from '../flow/clock.ts';
import type { RateLimiter } from '../flow/rate-limiter.ts';
import { DEFAULT_RETRY, type RetryHooks, type RetryPolicy, withRetry } from '../flow/retry.ts';
import { LimitedStore } from './limited-store.ts';
import type { ObjectStore, StoreCapabilities } from './object-store.ts';
import { PrefixLimits } from './prefix-limits.ts';
import { RetryingStore } from './retrying-store.ts';
import { credentialChain } from './s3/credentials.ts';
import type { MadeBucket } from './s3/make-bucket.ts';
import { AWS_LIMITS, type S3Limits } from './s3/s3-client.ts';
import { S3Store } from './s3/s3-store.ts';

export interface OpenStoreOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly concurrencyMax?: number | undefined;
  /** Keeps concurrency at this level. */
  readonly concurrencyPinned?: number | undefined;
  readonly requests?: RateLimiter | undefined;
  readonly bytes?: RateLimiter | undefined;
  readonly retry?: RetryPolicy | undefined;
  readonly onRetry?: RetryHooks['onRetry'];
  readonly limits?: Partial<S3Limits> | undefined;
  readonly capabilities?: Partial<StoreCapabilities> | undefined;
  readonly timeoutMs?: number | undefined;
  readonly requesterPays?: boolean | undefined;
}

export interface OpenedStore extends AsyncDisposable {
  readonly store: ObjectStore;
  readonly limiter: AdaptiveLimiter;
  /** How many requests were sent, where the store counts them. */
  requests(): number;
  /** Makes the bucket, or the folder, where there is none. @throws STORE_DENIED for a bucket of somebody else */
  makeBucket(signal?: AbortSignal): Promise<MadeBucket>;
}

/** @throws URL_INVALID where the environment names no usable endpoint */
export async function openStore(url: StoreUrl, options: OpenStoreOptions): Promise<OpenedStore> {
  const bare = url.kind === 's3' ? openS3(url, options) : await openFiles(url.folder);
  const limiter = new AdaptiveLimiter({
    clock: options.clock,
    start: CONCURRENCY_START,
    max: options.concurrencyMax ?? CONCURRENCY_MAX,
    pinned: options.concurrencyPinned,
  });
  const limited = new LimitedStore(bare, {
    concurrency: limiter,
    prefixes: options.concurrencyPinned === undefined ? new PrefixLimits(options.clock, limiter) : undefined,
    requests: options.requests,
    bytes: options.bytes,
  });
  const store = new RetryingStore(limited, options.retry ?? DEFAULT_RETRY, {
    clock: options.clock,
    onRetry: options.onRetry,
  });
  return {
    store,
    limiter,
    requests: () => (bare instanceof S3Store ? bare.requests : 0),
    makeBucket: (signal) =>
      withRetry(
        () => (bare instanceof S3Store ? bare.makeBucket(signal) : makeFolder(bare.bucket)),
        options.retry ?? DEFAULT_RETRY,
        { clock: options.clock, onRetry: options.onRetry, signal },
      ),
    [Symbol.asyncDispose]: async () => {
      await bare[Symbol.asyncDispose]();
    },
  };
}

const CONCURRENCY_START = 16;
const CONCURRENCY_MAX = 256;

async function makeFolder(path: string): Promise<MadeBucket> {
  return { made: (await mkdir(path, { recursive: true })) !== undefined, notices: [] };
}

async function openFiles(folder: string): Promise<ObjectStore> {
  const { FilesStore } = await import('./files/files-store.ts');
  return new FilesStore(folder);
}

function openS3(url: Extract<StoreUrl, { kind: 's3' }>, options: OpenStoreOptions): S3Store {
  const { env } = options;
  const region = s3Region(url, env) ?? DEFAULT_REGION;
  const custom = s3Endpoint(url, env);
  let endpoint: URL;
  try {
    endpoint = new URL(custom || `https://s3.${region}.amazonaws.com`);
  } catch (error) {
    throw new LongshoreError('URL_INVALID', `the S3 endpoint "${custom}" is not a URL`, {
      cause: error,
      hint: 'write it as https://host or http://host:port',
    });
  }
  return new S3Store({
    bucket: url.bucket,
    endpoint,
    region,
    // Buckets with dots do not match the wildcard certificates of virtual hosts.
    addressing: custom || url.bucket.includes('.') ? 'path' : 'host',
    credentials: credentialChain(env, s3Profile(url, env)),
    identity: url.profile ?? env['AWS_ACCESS_KEY_ID'] ?? s3Profile(url, env) ?? 'default',
    clock: options.clock,
    connectionsMax: options.concurrencyPinned ?? options.concurrencyMax ?? CONCURRENCY_MAX,
    timeoutMs: options.timeoutMs ?? 60_000,
    requesterPays: options.requesterPays ?? false,
    limits: { ...AWS_LIMITS, ...options.limits },
    capabilities: options.capabilities,
  });
}
