/** Reads a request's URL: bucket (in the path or in the host name), key and query, decoded. */

import type { IncomingMessage } from 'node:http';
import type { RequestLine } from './exchange.ts';
import { S3Error } from './s3-error.ts';

const KEY_BYTES_MAX = 1024;
const NO_QUERY: ReadonlyMap<string, string> = new Map();

/** @throws {S3Error} InvalidURI, KeyTooLongError */
export function readRequestLine(message: IncomingMessage): RequestLine {
  const url = asUtf8(message.url ?? '/').replace(/^https?:\/\/[^/]*/, '');
  const mark = url.indexOf('?');
  const path = decode(mark === -1 ? url : url.slice(0, mark));
  const parameters = mark === -1 ? [] : readQuery(url.slice(mark + 1));
  let bucketName = bucketOfHost(message.headers.host);
  let key: string;
  if (bucketName !== '') {
    key = path.slice(1);
  } else {
    const slash = path.indexOf('/', 1);
    bucketName = slash === -1 ? path.slice(1) : path.slice(1, slash);
    key = slash === -1 ? '' : path.slice(slash + 1);
  }
  if (key.length > KEY_BYTES_MAX / 3 && Buffer.byteLength(key) > KEY_BYTES_MAX) {
    throw new S3Error('KeyTooLongError', {
      details: { Size: String(Buffer.byteLength(key)), MaxSizeAllowed: String(KEY_BYTES_MAX) },
    });
  }
  return {
    method: message.method ?? 'GET',
    path,
    parameters,
    query: parameters.length === 0 ? NO_QUERY : new Map(parameters),
    headers: message.headers,
    bucketName,
    key,
  };
}

/** `bucket.localhost:9000` and `bucket.s3.localhost` name a bucket. */
function bucketOfHost(host: string | undefined): string {
  if (host === undefined || !host.includes('.localhost')) return '';
  const match = /^(.+?)(?:\.s3)?\.localhost(?::\d+)?$/.exec(host);
  return match === null || match[1] === 's3' ? '' : match[1]!;
}

function readQuery(text: string): [string, string][] {
  const parameters: [string, string][] = [];
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const [name, value] = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
    parameters.push([decode(name.replace(/\+/g, ' ')), decode(value.replace(/\+/g, ' '))]);
  }
  return parameters;
}

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error('InvalidURI');
  }
}

/** Node gives bytes above 127 as Latin-1. */
function asUtf8(url: string): string {
  return /[\u0080-\u00ff]/.test(url) ? Buffer.from(url, 'latin1').toString('utf8') : url;
}
