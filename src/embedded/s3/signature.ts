/**
 * Checks AWS Signature Version 4, in the Authorization header or in the query of a presigned URL.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */

import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import { header, type RequestLine } from './exchange.ts';
import type { Principal } from './permissions.ts';
import { S3Error } from './s3-error.ts';

const SKEW_MS_MAX = 15 * 60_000;
const EMPTY_SHA256 = hash('sha256', '');
const KEYS_MAX = 1_000;

/** What the signature says of the body: a hash to compare, or how the chunks of a signed stream are checked. */
export interface PayloadSignature {
  /** The value of `x-amz-content-sha256`. */
  readonly contentSha256: string;
  readonly chunks?: ChunkSignatures;
}

export interface ChunkSignatures {
  /** @throws {S3Error} SignatureDoesNotMatch */
  checkChunk(sha256: string, signature: string): void;
  /** @throws {S3Error} SignatureDoesNotMatch */
  checkTrailer(sha256: string, signature: string): void;
}

export interface Verified {
  readonly principal: Principal;
  /** The region the request was signed for. */
  readonly region: string;
  readonly payload: PayloadSignature;
}

interface Claim {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly scope: string;
  readonly time: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly contentSha256: string;
  readonly presigned: boolean;
}

export class SignatureVerifier {
  readonly #principals: ReadonlyMap<string, Principal>;
  readonly #clock: () => number;
  /** Signing keys by access key, day and region. */
  readonly #keys = new Map<string, KeyObject>();

  constructor(principals: ReadonlyMap<string, Principal>, clock: () => number = Date.now) {
    this.#principals = principals;
    this.#clock = clock;
  }

  /** @throws {S3Error} AccessDenied, InvalidAccessKeyId, RequestTimeTooSkewed, SignatureDoesNotMatch, … */
  verify(request: RequestLine): Verified {
    const claim = readClaim(request);
    const principal = this.#principals.get(claim.accessKeyId);
    if (principal === undefined) {
      throw new S3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: claim.accessKeyId } });
    }
    this.#checkTime(claim, request);
    this.#checkToken(principal, request);
    const key = this.#signingKey(principal, claim);
    const canonical = canonicalRequest(request, claim);
    const toSign = `AWS4-HMAC-SHA256\n${claim.time}\n${claim.scope}\n${hash('sha256', Buffer.from(canonical, 'latin1'))}`;
    if (!sameSignature(hmacHex(key, toSign), claim.signature)) {
      throw new S3Error('SignatureDoesNotMatch', {
        details: {
          AWSAccessKeyId: claim.accessKeyId,
          StringToSign: toSign,
          SignatureProvided: claim.signature,
          CanonicalRequest: canonical,
        },
      });
    }
    const { contentSha256 } = claim;
    return {
      principal,
      region: claim.region,
      payload: contentSha256.startsWith('STREAMING-AWS4')
        ? { contentSha256, chunks: chunkSignatures(key, claim) }
        : { contentSha256 },
    };
  }

  #checkTime(claim: Claim, request: RequestLine): void {
    const signedMs = parseTime(claim.time);
    const nowMs = this.#clock();
    if (claim.presigned) {
      const seconds = Number(request.query.get('X-Amz-Expires') ?? '');
      if (!(seconds >= 1 && seconds <= 604_800)) throw new S3Error('AuthorizationQueryParametersError');
      if (nowMs > signedMs + seconds * 1_000 || nowMs < signedMs - SKEW_MS_MAX) {
        throw new S3Error('AccessDenied', { message: 'Request has expired' });
      }
      return;
    }
    if (Number.isNaN(signedMs)) {
      throw new S3Error('AccessDenied', {
        message: 'AWS authentication requires a valid Date or x-amz-date header',
      });
    }
    if (Math.abs(nowMs - signedMs) > SKEW_MS_MAX) {
      throw new S3Error('RequestTimeTooSkewed', {
        details: {
          RequestTime: claim.time,
          ServerTime: new Date(nowMs).toISOString(),
          MaxAllowedSkewMilliseconds: String(SKEW_MS_MAX),
        },
      });
    }
  }

  #checkToken(principal: Principal, request: RequestLine): void {
    if (principal.sessionToken === undefined) return;
    const token = header(request, 'x-amz-security-token') ?? request.query.get('X-Amz-Security-Token');
    if (token !== principal.sessionToken) throw new S3Error('InvalidToken');
  }

  #signingKey(principal: Principal, claim: Claim): KeyObject {
    const name = `${claim.accessKeyId}/${claim.date}/${claim.region}`;
    let key = this.#keys.get(name);
    if (key === undefined) {
      let bytes: Buffer = Buffer.from(`AWS4${principal.secretAccessKey}`);
      for (const part of [claim.date, claim.region, 's3', 'aws4_request']) {
        bytes = createHmac('sha256', bytes).update(part).digest();
      }
      key = createSecretKey(bytes);
      if (this.#keys.size >= KEYS_MAX) this.#keys.clear();
      this.#keys.set(name, key);
    }
    return key;
  }
}

function readClaim(request: RequestLine): Claim {
  const { query } = request;
  const authorization = header(request, 'authorization');
  if (authorization !== undefined) {
    const match =
      /^AWS4-HMAC-SHA256 +Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, *SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})$/.exec(
        authorization,
      );
    if (match === null) throw new S3Error('AuthorizationHeaderMalformed');
    const time = header(request, 'x-amz-date') ?? '';
    if (!time.startsWith(match[2]!)) {
      throw new S3Error('SignatureDoesNotMatch', {
        message: 'The date of the credential is not that of x-amz-date',
      });
    }
    const contentSha256 = header(request, 'x-amz-content-sha256');
    if (contentSha256 === undefined) {
      throw new S3Error('InvalidRequest', {
        message: 'Missing required header for this request: x-amz-content-sha256',
      });
    }
    return {
      accessKeyId: match[1]!,
      date: match[2]!,
      region: match[3]!,
      scope: `${match[2]}/${match[3]}/s3/aws4_request`,
      time,
      signedHeaders: match[4]!,
      signature: match[5]!,
      contentSha256,
      presigned: false,
    };
  }
  const signature = query.get('X-Amz-Signature');
  if (signature === undefined) throw new S3Error('AccessDenied');
  const [accessKeyId, date, region, service, end] = (query.get('X-Amz-Credential') ?? '').split('/');
  if (
    query.get('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256' ||
    accessKeyId === undefined ||
    date === undefined ||
    region === undefined ||
    service !== 's3' ||
    end !== 'aws4_request'
  ) {
    throw new S3Error('AuthorizationQueryParametersError');
  }
  return {
    accessKeyId,
    date,
    region,
    scope: `${date}/${region}/s3/aws4_request`,
    time: query.get('X-Amz-Date') ?? '',
    signedHeaders: query.get('X-Amz-SignedHeaders') ?? '',
    signature,
    contentSha256: header(request, 'x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
    presigned: true,
  };
}

/** Characters above 127 stand for bytes (Latin-1), as in Node's headers. */
function canonicalRequest(request: RequestLine, claim: Claim): string {
  let headers = '';
  for (const name of claim.signedHeaders.split(';')) {
    const value = (header(request, name) ?? '').trim();
    headers += `${name}:${value.includes('  ') ? value.replace(/ +/g, ' ') : value}\n`;
  }
  return `${request.method}\n${uriEncode(request.path, true)}\n${canonicalQuery(request, claim)}\n${headers}\n${claim.signedHeaders}\n${claim.contentSha256}`;
}

function canonicalQuery(request: RequestLine, claim: Claim): string {
  if (request.parameters.length === 0) return '';
  const pairs: [string, string][] = [];
  for (const [name, value] of request.parameters) {
    if (claim.presigned && name === 'X-Amz-Signature') continue;
    pairs.push([uriEncode(name, false), uriEncode(value, false)]);
  }
  pairs.sort((a, b) => (a[0] === b[0] ? (a[1] < b[1] ? -1 : 1) : a[0] < b[0] ? -1 : 1));
  return pairs.map(([name, value]) => `${name}=${value}`).join('&');
}

function uriEncode(text: string, keepSlash: boolean): string {
  if (keepSlash ? /^[A-Za-z0-9\-._~/]*$/.test(text) : /^[A-Za-z0-9\-._~]*$/.test(text)) return text;
  const encoded = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return keepSlash ? encoded.replace(/%2F/g, '/') : encoded;
}

function hmacHex(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

function sameSignature(ours: string, theirs: string): boolean {
  return theirs.length === ours.length && timingSafeEqual(Buffer.from(ours), Buffer.from(theirs));
}

/** Each signature of a stream signs the one before it. */
function chunkSignatures(key: KeyObject, claim: Claim): ChunkSignatures {
  let previous = claim.signature;
  const check = (kind: string, hashes: string, signature: string): void => {
    const toSign = `AWS4-HMAC-SHA256-${kind}\n${claim.time}\n${claim.scope}\n${previous}\n${hashes}`;
    if (!sameSignature(hmacHex(key, toSign), signature)) throw new S3Error('SignatureDoesNotMatch');
    previous = signature;
  };
  return {
    checkChunk: (sha256, signature) => check('PAYLOAD', `${EMPTY_SHA256}\n${sha256}`, signature),
    checkTrailer: (sha256, signature) => check('TRAILER', sha256, signature),
  };
}

function parseTime(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return Number.NaN;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}
