/**
 * AWS Signature Version 4 in the `Authorization` header, made for many small requests: the signing key is derived
 * once a day, the date text once a second, and a request costs one hash and one HMAC.
 * Specification: "Signature Calculations for the Authorization Header" of the S3 API reference.
 */

import { createHash, createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';
import type { Secret } from '../../config/secret.ts';

export interface SigningCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken?: Secret | undefined;
}

/** SHA-256 of nothing. */
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Signs requests to one service in one region with one set of credentials. */
export class Signer {
  readonly #credentials: SigningCredentials;
  readonly #region: string;
  #day = '';
  /** As a key object: made from bytes at every request, an HMAC costs six times as much. */
  #key: KeyObject | undefined;
  #second = -1;
  #amzDate = '';

  constructor(credentials: SigningCredentials, region: string) {
    this.#credentials = credentials;
    this.#region = region;
  }

  /**
   * @param path percent-encoded as it is sent
   * @param query canonical: names and values percent-encoded, sorted by name
   * @param headers lower-case names and values, without `host`, `x-amz-date`, `x-amz-content-sha256`
   * @param payloadSha256 hex, or `UNSIGNED-PAYLOAD`
   * @param nowMs the time as the server sees it
   * @returns all headers to send, as a flat list of names and values; `host` is signed but not in the list
   */
  sign(
    method: string,
    host: string,
    path: string,
    query: string,
    headers: readonly (readonly [string, string])[],
    payloadSha256: string,
    nowMs: number,
  ): string[] {
    this.#at(nowMs);
    const { accessKeyId, sessionToken } = this.#credentials;
    const all: (readonly [string, string])[] = [
      ['host', host],
      ['x-amz-content-sha256', payloadSha256],
      ['x-amz-date', this.#amzDate],
      ...headers,
    ];
    if (sessionToken !== undefined) all.push(['x-amz-security-token', sessionToken.reveal()]);
    all.sort(byName);
    let canonical = `${method}\n${path}\n${query}\n`;
    let names = '';
    const flat: string[] = [];
    for (const [name, value] of all) {
      canonical += `${name}:${trimmed(value)}\n`;
      names += names === '' ? name : `;${name}`;
      if (name !== 'host') flat.push(name, value);
    }
    canonical += `\n${names}\n${payloadSha256}`;
    const scope = `${this.#day}/${this.#region}/s3/aws4_request`;
    const toSign = `AWS4-HMAC-SHA256\n${this.#amzDate}\n${scope}\n${hash('sha256', Buffer.from(canonical, 'latin1'))}`;
    const signature = createHmac('sha256', this.#key!).update(toSign).digest('hex');
    flat.push(
      'authorization',
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
    );
    return flat;
  }

  #at(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    if (second === this.#second) return;
    this.#second = second;
    this.#amzDate = new Date(second * 1000).toISOString().replace(/[-:]|\.\d{3}/g, '');
    const day = this.#amzDate.slice(0, 8);
    if (day === this.#day) return;
    this.#day = day;
    let key: Buffer = Buffer.from(`AWS4${this.#credentials.secretAccessKey.reveal()}`);
    for (const part of [day, this.#region, 's3', 'aws4_request']) {
      key = createHmac('sha256', key).update(part).digest();
    }
    this.#key = createSecretKey(key);
  }
}

function byName(a: readonly [string, string], b: readonly [string, string]): number {
  return a[0] < b[0] ? -1 : 1;
}

/** Sequential spaces become one, as the specification asks. */
function trimmed(value: string): string {
  return value.includes('  ') || value.startsWith(' ') || value.endsWith(' ')
    ? value.trim().replace(/ +/g, ' ')
    : value;
}

/** Percent-encodes a key for a path or a copy source: RFC 3986 unreserved characters and `/` stay. */
export function encodeKey(key: string): string {
  return PLAIN_KEY.test(key) ? key : encodeStrict(key).replaceAll('%2F', '/');
}

/** Percent-encodes a query's name or value. */
export function encodeQuery(value: string): string {
  return PLAIN_QUERY.test(value) ? value : encodeStrict(value);
}

function encodeStrict(value: string): string {
  return encodeURIComponent(value).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const PLAIN_KEY = /^[A-Za-z0-9\-._~/]*$/;
const PLAIN_QUERY = /^[A-Za-z0-9\-._~]*$/;
