/**
 * HTTP to one S3 endpoint: signs, sends and reads; turns what went wrong into a LongshoreError.
 *
 * Requests are signed when they are sent and not when they are queued, by the server's clock: its `Date` header
 * corrects ours when it finds us skewed.
 */

import { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { type Dispatcher, Pool, errors as undiciErrors } from 'undici';
import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import { answerBody } from './answer-body.ts';
import type { CredentialSource } from './credentials.ts';
import { EMPTY_SHA256, encodeKey, encodeQuery, Signer, sha256Hex, UNSIGNED_PAYLOAD } from './sign.ts';
import { elementText } from './xml.ts';

export interface WireOptions {
  /** `https://s3.eu-west-1.amazonaws.com` */
  readonly endpoint: URL;
  readonly region: string;
  /** `path`: `endpoint/bucket/key`; `host`: `bucket.endpoint/key`. */
  readonly addressing: 'path' | 'host';
  readonly bucket: string;
  readonly credentials: CredentialSource;
  readonly clock: Clock;
  readonly connectionsMax: number;
  /** Silence after which a request is given up. */
  readonly timeoutMs: number;
  readonly requesterPays: boolean;
}

export interface WireRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Absent: the bucket itself. */
  readonly key?: string | undefined;
  readonly query?: readonly (readonly [string, string])[];
  /** Lower-case names. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string | Uint8Array | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface WireResponse {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly body: string;
}

/** Headers of an answer, by lower-case name. */
export class ResponseHeaders {
  readonly #raw: readonly Buffer[];

  /** @param raw names and values in turn, as they arrived: a value's bytes are kept as Latin-1 */
  constructor(raw: readonly Buffer[]) {
    this.#raw = raw;
  }

  get(name: string): string | undefined {
    for (const [key, value] of this.entries()) if (key === name) return value;
    return undefined;
  }

  *entries(): Generator<[string, string]> {
    for (let i = 0; i + 1 < this.#raw.length; i += 2) {
      yield [this.#raw[i]!.toString('latin1').toLowerCase(), this.#raw[i + 1]!.toString('latin1')];
    }
  }
}

export class S3Wire implements AsyncDisposable {
  readonly options: WireOptions;
  readonly host: string;
  readonly #origin: string;
  readonly #basePath: string;
  readonly #pool: Pool;
  readonly #aborts = new WeakMap<AbortSignal, Set<Dispatcher.DispatchController>>();
  #signer: { readonly signer: Signer; readonly expiresMs: number } | undefined;
  #skewMs = 0;
  #requests = 0;

  constructor(options: WireOptions) {
    this.options = options;
    const { endpoint, bucket, addressing } = options;
    this.host = addressing === 'host' ? `${bucket}.${endpoint.host}` : endpoint.host;
    this.#origin = `${endpoint.protocol}//${this.host}`;
    const root = endpoint.pathname.replace(/\/$/, '');
    this.#basePath = addressing === 'host' ? root : `${root}/${encodeKey(bucket)}`;
    this.#pool = new Pool(this.#origin, {
      connections: options.connectionsMax,
      pipelining: 1,
      headersTimeout: options.timeoutMs,
      bodyTimeout: options.timeoutMs,
      connectTimeout: 10_000,
      keepAliveTimeout: 15_000,
    });
  }

  /** How many requests were sent. */
  get requests(): number {
    return this.#requests;
  }

  /** Sends and reads the whole answer. Any status is an answer; errors are of the connection. */
  async send(request: WireRequest, signal?: AbortSignal): Promise<WireResponse> {
    signal?.throwIfAborted();
    const signer = this.#currentSigner() ?? (await this.#freshSigner());
    const response = await this.#dispatch(this.#prepare(request, signer), request, signal);
    if (response.status === 403 || response.status === 400) {
      const code = elementText(response.body, 'Code');
      if (code === 'RequestTimeTooSkewed' && this.#correctClock(response.headers)) {
        return this.#dispatch(this.#prepare(request, signer), request, signal);
      }
      if (code === 'ExpiredToken') this.#signer = undefined;
    }
    return response;
  }

  /** Sends and hands the answer's body on as it arrives; the caller consumes or destroys it. */
  async stream(
    request: WireRequest,
    signal?: AbortSignal,
  ): Promise<{ status: number; headers: ResponseHeaders; body: Readable }> {
    const answer = await this.#stream(request, signal);
    if (answer.status !== 400 && answer.status !== 403) return answer;
    // Whether clock or credentials are to blame is in the body; what is put right is asked for again.
    const body = await textOf(answer.body);
    const code = elementText(body, 'Code');
    if (code === 'ExpiredToken') this.#signer = undefined;
    if (code === 'RequestTimeTooSkewed' && this.#correctClock(answer.headers))
      return this.#stream(request, signal);
    return { ...answer, body: Readable.from([Buffer.from(body)]) };
  }

  async #stream(
    request: WireRequest,
    signal?: AbortSignal,
  ): Promise<{ status: number; headers: ResponseHeaders; body: Readable }> {
    signal?.throwIfAborted();
    const signer = this.#currentSigner() ?? (await this.#freshSigner());
    const { path, headers } = this.#prepare(request, signer);
    this.#requests++;
    try {
      const answer = await this.#pool.request({
        method: request.method,
        path,
        headers,
        ...(signal === undefined ? {} : { signal }),
        ...(request.timeoutMs === undefined
          ? {}
          : { headersTimeout: request.timeoutMs, bodyTimeout: request.timeoutMs }),
      });
      return {
        status: answer.statusCode,
        headers: new ResponseHeaders(rawOf(answer.headers)),
        body: answerBody(answer.body, (error) => this.#connectionError(error, request, signal)),
      };
    } catch (error) {
      throw this.#connectionError(error, request, signal);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }

  #prepare(request: WireRequest, signer: Signer): { path: string; headers: string[] } {
    const path =
      request.key === undefined ? this.#basePath || '/' : `${this.#basePath}/${encodeKey(request.key)}`;
    const query =
      request.query === undefined
        ? ''
        : request.query
            .map(([name, value]) => `${encodeQuery(name)}=${encodeQuery(value)}`)
            .sort()
            .join('&');
    const { body } = request;
    const payload =
      body === undefined
        ? EMPTY_SHA256
        : this.#origin.startsWith('https:')
          ? UNSIGNED_PAYLOAD
          : sha256Hex(body);
    const extra = this.options.requesterPays
      ? [...(request.headers ?? []), ['x-amz-request-payer', 'requester'] as const]
      : (request.headers ?? []);
    const now = this.options.clock.now() + this.#skewMs;
    const headers = signer.sign(request.method, this.host, path, query, extra, payload, now);
    return { path: query === '' ? path : `${path}?${query}`, headers };
  }

  #dispatch(
    prepared: { path: string; headers: string[] },
    request: WireRequest,
    signal: AbortSignal | undefined,
  ): Promise<WireResponse> {
    this.#requests++;
    return new Promise((resolve, reject) => {
      let status = 0;
      let headers: ResponseHeaders = NO_HEADERS;
      let chunks: Buffer | Buffer[] | undefined;
      let controller: Dispatcher.DispatchController | undefined;
      const group = signal === undefined ? undefined : this.#abortGroup(signal);
      const options: Dispatcher.DispatchOptions = {
        method: request.method,
        path: prepared.path,
        headers: prepared.headers,
        body: request.body ?? null,
        ...(request.timeoutMs === undefined
          ? {}
          : { headersTimeout: request.timeoutMs, bodyTimeout: request.timeoutMs }),
      };
      this.#pool.dispatch(options, {
        onRequestStart(started) {
          controller = started;
          group?.add(started);
          if (signal?.aborted) started.abort(abortReason(signal));
        },
        onResponseStart(started, statusCode) {
          status = statusCode;
          headers = new ResponseHeaders(started.rawHeaders as Buffer[]);
        },
        onResponseData(_, chunk) {
          if (chunks === undefined) chunks = chunk;
          else if (Array.isArray(chunks)) chunks.push(chunk);
          else chunks = [chunks, chunk];
        },
        onResponseEnd() {
          if (controller !== undefined) group?.delete(controller);
          const body = chunks === undefined ? '' : Array.isArray(chunks) ? Buffer.concat(chunks) : chunks;
          resolve({ status, headers, body: typeof body === 'string' ? body : body.toString('utf8') });
        },
        onResponseError: (_, error) => {
          if (controller !== undefined) group?.delete(controller);
          reject(this.#connectionError(error, request, signal));
        },
      });
    });
  }

  /** One listener a signal, however many requests wait under it. */
  #abortGroup(signal: AbortSignal): Set<Dispatcher.DispatchController> {
    let group = this.#aborts.get(signal);
    if (group === undefined) {
      const created = new Set<Dispatcher.DispatchController>();
      signal.addEventListener(
        'abort',
        () => {
          for (const controller of created) controller.abort(abortReason(signal));
        },
        { once: true },
      );
      this.#aborts.set(signal, created);
      group = created;
    }
    return group;
  }

  #currentSigner(): Signer | undefined {
    if (this.#signer === undefined) return undefined;
    if (this.options.clock.now() > this.#signer.expiresMs - RENEW_BEFORE_MS) return undefined;
    return this.#signer.signer;
  }

  async #freshSigner(): Promise<Signer> {
    const { credentials, expiresMs } = await this.options.credentials.get();
    const signer = new Signer(credentials, this.options.region);
    this.#signer = { signer, expiresMs: expiresMs ?? Number.POSITIVE_INFINITY };
    return signer;
  }

  #correctClock(headers: ResponseHeaders): boolean {
    const serverMs = Date.parse(headers.get('date') ?? '');
    if (Number.isNaN(serverMs)) return false;
    this.#skewMs = serverMs - this.options.clock.now();
    return true;
  }

  #connectionError(error: unknown, request: WireRequest, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    const what = `${request.method} ${this.options.bucket}${request.key === undefined ? '' : `/${request.key}`}`;
    const context = {
      bucket: this.options.bucket,
      ...(request.key === undefined ? {} : { key: request.key }),
    };
    if (error instanceof undiciErrors.HeadersTimeoutError || error instanceof undiciErrors.BodyTimeoutError) {
      return new LongshoreError('STORE_TIMEOUT', `no answer to ${what} in time`, { cause: error, context });
    }
    if (error instanceof undiciErrors.InvalidArgumentError) {
      return new LongshoreError('OBJECT_FAILED', `cannot send ${what}: ${error.message}`, {
        cause: error,
        context,
      });
    }
    const code = (error as NodeJS.ErrnoException)?.code ?? '';
    if (CANNOT_CONNECT.has(code) || error instanceof undiciErrors.ConnectTimeoutError) {
      return new LongshoreError('STORE_UNREACHABLE', `cannot connect to ${this.#origin}: ${code}`, {
        cause: error,
        context,
        hint: 'check the endpoint (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or S3_ENDPOINT_URL) and the network',
      });
    }
    return new LongshoreError(
      'STORE_UNAVAILABLE',
      `connection lost during ${what}: ${error instanceof Error ? error.message : code}`,
      { cause: error, context },
    );
  }
}

/** undici gives values as Latin-1 here. */
function rawOf(headers: Readonly<Record<string, string | string[] | undefined>>): Buffer[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined
      ? []
      : [Buffer.from(name), Buffer.from(Array.isArray(value) ? value.join(', ') : value, 'latin1')],
  );
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason });
}

const NO_HEADERS = new ResponseHeaders([]);
const RENEW_BEFORE_MS = 120_000;
const CANNOT_CONNECT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ENETDOWN',
]);
