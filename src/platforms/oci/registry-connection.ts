/** Requests to one repository of a registry: with its tokens, tried again where that may help, its refusals as errors. */

import { Readable } from 'node:stream';
import { Agent, type Dispatcher, request } from 'undici';
import { Secret } from '../../config/secret.ts';
import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import { type RetryPolicy, withRetry } from '../../flow/retry.ts';
import { type Challenge, parseChallenge, tokenOf, tokenRequest } from './bearer-token.ts';
import { basicAuthorization, dockerCredentials, type RegistryCredentials } from './docker-credentials.ts';
import { broken, refusal } from './registry-error.ts';
import { collected, DOCUMENT_BYTES_MAX } from './verified.ts';

/** Somebody waits before the screen: a name that is mistyped is not tried for minutes. */
export const REGISTRY_RETRY: RetryPolicy = { attemptsMax: 6, baseMs: 200, waitMsMax: 5_000 };

export interface RegistryOptions {
  /** `DOCKER_CONFIG`, `HOME`, and the `PATH` of credential helpers. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  readonly retry?: RetryPolicy | undefined;
  /** Speaks HTTP without TLS; with one on this machine that is done anyway. */
  readonly plainHttp?: boolean | undefined;
}

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  /** Below `/v2/<repository>/`, or a whole URL. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Made for each attempt. */
  readonly body?: (() => Buffer | Readable) | undefined;
  /** Other answers are thrown. */
  readonly expected: readonly number[];
  /** For messages: `push a layer`. */
  readonly action: string;
}

export interface RegistryAnswer {
  readonly status: number;
  /** Undefined where it is not there. */
  header(name: string): string | undefined;
  /** Has to be read, or given up with `break`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Whether the registry itself gave it, and not whom it sent to. */
  readonly isOwn: boolean;
  /** The answer's `Location` as a whole URL. @throws STORE_RESPONSE where there is none */
  location(): string;
}

export class RegistryConnection implements AsyncDisposable {
  readonly registry: string;
  readonly repository: string;
  readonly options: RegistryOptions;
  readonly #agent = new Agent({
    connections: 4,
    headersTimeout: 120_000,
    bodyTimeout: 120_000,
    connect: { timeout: 20_000 },
  });
  readonly #base: URL;
  readonly #scopes: Set<string>;
  #authorization: Secret | undefined;
  #credentials: Promise<RegistryCredentials | undefined> | undefined;

  /** @param access what tokens are for: `pull` or `pull,push` */
  constructor(registry: string, repository: string, access: 'pull' | 'pull,push', options: RegistryOptions) {
    this.registry = registry;
    this.repository = repository;
    this.options = options;
    const scheme = options.plainHttp === true || isLocal(registry) ? 'http' : 'https';
    const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
    this.#base = new URL(`${scheme}://${host}/v2/${repository}/`);
    this.#scopes = new Set([`repository:${repository}:${access}`]);
  }

  /** Tokens are for reading there as well. */
  alsoPullFrom(repository: string): void {
    const scope = `repository:${repository}:pull`;
    if (repository === this.repository || this.#scopes.has(scope)) return;
    this.#scopes.add(scope);
    this.#authorization = undefined;
  }

  stopPullingFrom(repository: string): void {
    if (this.#scopes.delete(`repository:${repository}:pull`)) this.#authorization = undefined;
  }

  /** Tried again as long as its error may pass: for what may be done twice. */
  send(asked: RegistryRequest): Promise<RegistryAnswer> {
    const { signal, clock, retry = REGISTRY_RETRY } = this.options;
    return withRetry(() => this.sendOnce(asked), retry, { signal, clock });
  }

  /** With its whole body, as {@link send}. */
  document(asked: RegistryRequest, what: string): Promise<{ answer: RegistryAnswer; bytes: Buffer }> {
    const { signal, clock, retry = REGISTRY_RETRY } = this.options;
    const once = async () => {
      const answer = await this.sendOnce(asked);
      return { answer, bytes: await wholeOf(answer.body, what, this.#what(asked)) };
    };
    return withRetry(once, retry, { signal, clock });
  }

  /** @throws STORE_* */
  async sendOnce(asked: RegistryRequest): Promise<RegistryAnswer> {
    const first = await this.#exchange(asked);
    if (first.status !== 401) return await this.#checked(first, asked);
    // One of whoever keeps the blobs would have the password sent to where it likes.
    const challenge = first.isOwn ? parseChallenge(first.header('www-authenticate')) : undefined;
    const refused = await bodyText(first);
    const before = this.#authorization;
    // No credentials where none would help: the refusal says more than their absence.
    this.#authorization =
      challenge === undefined ? undefined : await this.#authorize(challenge, asked.action);
    if (this.#authorization === undefined || this.#authorization.reveal() === before?.reveal())
      throw refusal(401, refused, this.#what(asked));
    return await this.#checked(await this.#exchange(asked), asked);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async #checked(answer: RegistryAnswer, asked: RegistryRequest): Promise<RegistryAnswer> {
    if (asked.expected.includes(answer.status)) return answer;
    throw refusal(answer.status, await bodyText(answer), this.#what(asked));
  }

  async #authorize(challenge: Challenge, action: string): Promise<Secret | undefined> {
    this.#credentials ??= dockerCredentials(this.registry, this.options.env);
    const credentials = await this.#credentials;
    if (credentials?.kind === 'bearer') return new Secret(`Bearer ${credentials.token.reveal()}`);
    if (challenge.scheme === 'basic')
      return credentials?.kind === 'password'
        ? basicAuthorization(credentials.user, credentials.password)
        : undefined;
    const asked = tokenRequest(challenge, [...this.#scopes], credentials, this.#base.protocol === 'http:');
    const what = `${action}: a token of ${new URL(asked.url).host} for ${this.registry}`;
    const { statusCode: status, body } = await this.#raw(
      asked.url,
      asked.method,
      asked.headers,
      asked.body,
      what,
    );
    const text = (await wholeOf(body, 'a token', what)).toString('utf8');
    if (status !== 200) throw refusal(status, text, what);
    return new Secret(`Bearer ${tokenOf(text, challenge.realm).reveal()}`);
  }

  async #exchange(asked: RegistryRequest): Promise<RegistryAnswer> {
    let url = new URL(asked.url, this.#base);
    for (let redirects = 0; ; redirects++) {
      const headers: Record<string, string> = { ...asked.headers };
      // Whoever keeps the blobs for the registry gets no token of it.
      if (this.#authorization !== undefined && url.origin === this.#base.origin)
        headers['authorization'] = this.#authorization.reveal();
      const raw = await this.#raw(url.href, asked.method, headers, asked.body?.(), this.#what(asked));
      const answer = answerOf(raw, url, url.origin === this.#base.origin);
      const isRead = asked.method === 'GET' || asked.method === 'HEAD';
      if (!isRead || ![301, 302, 303, 307, 308].includes(answer.status)) return answer;
      await bodyText(answer);
      url = new URL(answer.location());
      if (redirects === REDIRECTS_MAX || (url.protocol !== 'https:' && this.#base.protocol === 'https:'))
        throw new LongshoreError(
          'STORE_RESPONSE',
          `cannot ${this.#what(asked)}: the registry sends elsewhere, to ${url.host}, which is not followed`,
        );
    }
  }

  async #raw(
    url: string,
    method: RegistryRequest['method'],
    headers: Readonly<Record<string, string>>,
    body: Buffer | Readable | string | undefined,
    what: string,
  ): Promise<Dispatcher.ResponseData> {
    const { signal } = this.options;
    try {
      return await request(url, {
        method,
        headers: { 'user-agent': 'longshore', ...headers },
        body: body ?? null,
        dispatcher: this.#agent,
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (body instanceof Readable) body.destroy();
      signal?.throwIfAborted();
      throw broken(error, what);
    }
  }

  #what({ action }: RegistryRequest): string {
    return `${action} of ${this.registry}/${this.repository}`;
  }
}

const REDIRECTS_MAX = 5;

/** Docker, too, speaks to these without TLS. */
function isLocal(registry: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(registry);
}

function answerOf(
  { statusCode, headers, body }: Dispatcher.ResponseData,
  url: URL,
  isOwn: boolean,
): RegistryAnswer {
  const header = (name: string): string | undefined => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  return {
    status: statusCode,
    header,
    body,
    isOwn,
    location() {
      const location = header('location');
      if (location === undefined)
        throw new LongshoreError('STORE_RESPONSE', `${url.host} answers ${statusCode} without a Location`);
      const whole = URL.parse(location, url.href);
      if (whole === null || !/^https?:$/.test(whole.protocol))
        throw new LongshoreError(
          'STORE_RESPONSE',
          `${url.host} answers ${statusCode} with a Location that is no address`,
        );
      return whole.href;
    },
  };
}

async function wholeOf(body: AsyncIterable<Uint8Array>, what: string, action: string): Promise<Buffer> {
  try {
    return await collected(body, DOCUMENT_BYTES_MAX, what);
  } catch (error) {
    throw broken(error, action);
  }
}

/** Read to its end, so that the connection serves the next request. */
export async function bodyText({ body }: RegistryAnswer): Promise<string> {
  try {
    return (await collected(body, DOCUMENT_BYTES_MAX, 'an answer')).toString('utf8');
  } catch {
    // The status has been read; what broke off after it would only have explained it.
    return '';
  }
}
