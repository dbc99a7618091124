/** A request as the operations see it, their answers, and what all of them share. */

import type { IncomingMessage } from 'node:http';
import type { Blobs } from './blobs.ts';
import type { Buckets } from './buckets-table.ts';
import type { Database } from './database.ts';
import type { Principal } from './permissions.ts';
import type { PayloadSignature } from './signature.ts';
import type { Support } from './support.ts';
import type { Uploads } from './uploads-table.ts';
import type { Versions } from './versions-table.ts';

/** A request's line and headers, decoded but not yet trusted. */
export interface RequestLine {
  readonly method: string;
  /** Decoded; with the bucket where the bucket is in the path. */
  readonly path: string;
  /** Decoded, in the order given. */
  readonly parameters: readonly (readonly [string, string])[];
  readonly query: ReadonlyMap<string, string>;
  readonly headers: IncomingMessage['headers'];
  /** Empty where the request names none. */
  readonly bucketName: string;
  /** Empty where the request names none. */
  readonly key: string;
}

export interface S3Request extends RequestLine {
  readonly body: IncomingMessage;
  readonly principal: Principal;
  readonly payload: PayloadSignature;
}

export interface S3Response {
  readonly status: number;
  /** Name and value in turn. */
  readonly headers: readonly string[];
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Of a body that is streamed, or of the body that a HEAD does not send. */
  readonly contentLengthBytes?: number;
}

/** What the operations work on. */
export interface Service {
  readonly database: Database;
  readonly blobs: Blobs;
  readonly buckets: Buckets;
  readonly versions: Versions;
  readonly uploads: Uploads;
  readonly support: Support;
  readonly region: string;
  readonly etag: 'md5' | 'random';
  /** Encrypt with aws:kms what nothing else is said of. */
  readonly kms: boolean;
  readonly copyBytesMax: number;
  readonly partBytesMin: number;
  readonly now: () => number;
}

export type Operation = (service: Service, request: S3Request) => S3Response | Promise<S3Response>;

/** A header's value; undefined where it is absent. */
export function header(request: Pick<RequestLine, 'headers'>, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

export const XML_START = '<?xml version="1.0" encoding="UTF-8"?>\n';
export const XML_NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

export function xmlResponse(body: string, headers: readonly string[] = []): S3Response {
  return { status: 200, headers: ['Content-Type', 'application/xml', ...headers], body: XML_START + body };
}

export function emptyResponse(status: number, headers: readonly string[] = []): S3Response {
  return { status, headers };
}

let lastSecond = -1;
let lastIso = '';

/** A time as result documents write it; S3 keeps whole seconds. */
export function isoTime(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastIso = new Date(second * 1000).toISOString();
  }
  return lastIso;
}

/** A time as headers write it. */
export function httpTime(timeMs: number): string {
  return new Date(timeMs).toUTCString();
}
