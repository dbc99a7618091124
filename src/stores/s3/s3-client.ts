/** One S3 request at a time, with its answer checked: what every operation of the store is built from. */

import type { LongshoreError } from '../../errors.ts';
import { type RetryPolicy, withRetry } from '../../flow/retry.ts';
import { brokenAnswer, responseError } from './response-error.ts';
import type { S3Wire, WireRequest, WireResponse } from './wire.ts';
import { isWhole } from './xml.ts';

/** Limits of the store behind an endpoint; AWS's unless told. */
export interface S3Limits {
  /** Above this size a copy is made in parts. */
  readonly copyBytesMax: number;
  /** Above this size a put is made in parts. */
  readonly putBytesMax: number;
  readonly partBytes: number;
  /** Of what passes through us, where a part is in memory. */
  readonly streamPartBytes: number;
  readonly partsMax: number;
  readonly partBytesMax: number;
  /** Parts of one object under way at once. */
  readonly partsConcurrent: number;
}

export const AWS_LIMITS: S3Limits = {
  copyBytesMax: 5 * 1024 ** 3,
  putBytesMax: 64 * 1024 ** 2,
  partBytes: 64 * 1024 ** 2,
  streamPartBytes: 8 * 1024 ** 2,
  partsMax: 10_000,
  partBytesMax: 5 * 1024 ** 3,
  partsConcurrent: 8,
};

const PART_RETRY: RetryPolicy = { attemptsMax: 6, baseMs: 100, waitMsMax: 5_000 };

/** The size of parts for an object: the usual one, or as large as the greatest count of parts demands. */
export function partBytesFor(sizeBytes: number, limits: S3Limits, wanted?: number): number {
  return Math.max(wanted ?? limits.partBytes, Math.ceil(sizeBytes / limits.partsMax));
}

export class S3Client {
  readonly wire: S3Wire;
  readonly limits: S3Limits;

  constructor(wire: S3Wire, limits: S3Limits) {
    this.wire = wire;
    this.limits = limits;
  }

  get bucket(): string {
    return this.wire.options.bucket;
  }

  /** Sends; resolves for a 2xx answer only. @throws LongshoreError for every other one */
  async ok(action: string, request: WireRequest, signal?: AbortSignal): Promise<WireResponse> {
    const response = await this.wire.send(request, signal);
    if (response.status >= 300) throw this.error(action, request, response);
    return response;
  }

  /**
   * Sends a request whose success is an XML document: a 200 that holds an `<Error>`, is cut short or is empty is
   * an error, though the store may have done the work.
   */
  async document(
    action: string,
    request: WireRequest,
    root: string,
    signal?: AbortSignal,
  ): Promise<WireResponse> {
    const response = await this.ok(action, request, signal);
    this.checkDocument(action, request, response, root);
    return response;
  }

  /** @throws LongshoreError when a 2xx answer is not the whole document `root` */
  checkDocument(action: string, request: WireRequest, response: WireResponse, root: string): void {
    if (isWhole(response.body, root)) return;
    if (response.body.includes('<Error')) throw this.error(action, request, response);
    const why = response.body.trim() === '' ? 'no body' : 'a body that is cut short';
    throw brokenAnswer({ action, bucket: this.bucket, request }, why);
  }

  /** Tries one part of an upload again, so that a passing error does not cost the parts that are done. */
  retryPart<T>(
    attempt: () => Promise<T>,
    signal: AbortSignal | undefined,
    policy: RetryPolicy = PART_RETRY,
  ): Promise<T> {
    return withRetry(attempt, policy, { clock: this.wire.options.clock, signal });
  }

  error(action: string, request: WireRequest, response: WireResponse): LongshoreError {
    return responseError(response, { action, bucket: this.bucket, request });
  }
}
