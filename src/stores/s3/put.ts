/** Puts objects whose bytes pass through us: whole when small, in parts when large, with flat memory. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { LongshoreError } from '../../errors.ts';
import type { CopyOutcome, PutRequest } from '../object-store.ts';
import { attributeHeaders } from './attributes.ts';
import {
  abortUpload,
  completeUpload,
  createUpload,
  taggingHeader,
  type UploadedPart,
  uploadPart,
} from './multipart.ts';
import { errorCodeOf } from './response-error.ts';
import { partBytesFor, type S3Client } from './s3-client.ts';
import type { WireRequest } from './wire.ts';
import { bareEtag } from './xml.ts';

export async function putObject(
  client: S3Client,
  request: PutRequest,
  signal?: AbortSignal,
): Promise<CopyOutcome> {
  if (request.partBytes === undefined && request.sizeBytes <= client.limits.putBytesMax) {
    return putWhole(client, request, signal);
  }
  return putInParts(client, request, signal);
}

async function putWhole(client: S3Client, request: PutRequest, signal?: AbortSignal): Promise<CopyOutcome> {
  const body = await wholeBody(request);
  const md5 = createHash('md5').update(body).digest();
  const wire: WireRequest = {
    method: 'PUT',
    key: request.key,
    headers: [
      ['content-md5', md5.toString('base64')],
      ...conditions(request),
      ...attributeHeaders(request.attributes),
      ...taggingHeader(request.tags ?? []),
    ],
    body,
  };
  const response = await client.wire.send(wire, signal);
  if (response.status >= 300) {
    if (errorCodeOf(response) === 'PreconditionFailed') return { kind: 'target-exists' };
    throw client.error('s3:PutObject', wire, response);
  }
  const etag = bareEtag(response.headers.get('etag') ?? '');
  return { kind: 'copied', etag, how: 'stream', md5: md5.toString('hex') };
}

async function putInParts(client: S3Client, request: PutRequest, signal?: AbortSignal): Promise<CopyOutcome> {
  const headers = attributeHeaders(request.attributes);
  const uploadId = await createUpload(client, request.key, headers, request.tags ?? [], signal);
  const underWay = new Set<Promise<void>>();
  try {
    const md5 = createHash('md5');
    const parts: UploadedPart[] = [];
    const { limits } = client;
    const usual = Math.min(limits.partBytes, limits.streamPartBytes);
    const partBytes = partBytesFor(request.sizeBytes, limits, request.partBytes ?? usual);
    let partNumber = 0;
    for await (const part of inParts(request, partBytes)) {
      md5.update(part);
      const number = ++partNumber;
      const attempt = () => uploadPart(client, request.key, uploadId, number, part, signal);
      const upload = client.retryPart(attempt, signal).then((done) => {
        parts[number - 1] = done;
        underWay.delete(upload);
      });
      // A failure is thrown by the race or by the wait for all; until then it must not count as unhandled.
      upload.catch(() => undefined);
      underWay.add(upload);
      if (underWay.size >= PARTS_IN_MEMORY) await Promise.race(underWay);
    }
    await Promise.all(underWay);
    const done = await completeUpload(client, request.key, uploadId, parts, conditions(request), signal);
    if (done === 'target-exists') {
      await abortUpload(client, request.key, uploadId);
      return { kind: 'target-exists' };
    }
    return { kind: 'copied', etag: done.etag, how: 'stream', md5: md5.digest('hex') };
  } catch (error) {
    // A part that arrives after the upload was aborted would stay.
    await Promise.allSettled(underWay);
    await abortUpload(client, request.key, uploadId);
    throw error;
  }
}

const PARTS_IN_MEMORY = 2;

function conditions(request: PutRequest): [string, string][] {
  if (request.ifTargetEtag !== undefined) return [['if-match', `"${request.ifTargetEtag}"`]];
  return request.ifAbsent ? [['if-none-match', '*']] : [];
}

async function wholeBody(request: PutRequest): Promise<Uint8Array> {
  if (request.body instanceof Uint8Array) return checkSize(request, request.body);
  if ('path' in request.body) return checkSize(request, await readFile(request.body.path));
  // In its place at once: pieces put together at the end would be in memory twice.
  const body = Buffer.allocUnsafeSlow(request.sizeBytes);
  let bytes = 0;
  for await (const chunk of request.body as AsyncIterable<Buffer>) {
    if (bytes + chunk.byteLength <= body.byteLength) body.set(chunk, bytes);
    bytes += chunk.byteLength;
  }
  if (bytes !== request.sizeBytes) throw shortBody(request, bytes);
  return body;
}

function checkSize(request: PutRequest, body: Uint8Array): Uint8Array {
  if (body.byteLength === request.sizeBytes) return body;
  throw shortBody(request, body.byteLength);
}

function shortBody(request: PutRequest, got: number): LongshoreError {
  return new LongshoreError(
    'STORE_UNAVAILABLE',
    `the body of ${request.key} is ${got} bytes and not the ${request.sizeBytes} announced`,
    { context: { key: request.key } },
  );
}

function piecesOf({ body }: PutRequest): AsyncIterable<Buffer> | Iterable<Buffer> {
  if (body instanceof Uint8Array) return [Buffer.from(body)];
  return 'path' in body ? createReadStream(body.path, { highWaterMark: READ_BYTES }) : body;
}

const READ_BYTES = 1024 ** 2;

async function* inParts(request: PutRequest, partBytes: number): AsyncGenerator<Buffer> {
  const body = piecesOf(request);
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let total = 0;
  for await (const chunk of body) {
    let rest = chunk;
    total += chunk.byteLength;
    while (pendingBytes + rest.byteLength >= partBytes) {
      const take = partBytes - pendingBytes;
      yield Buffer.concat([...pending, rest.subarray(0, take)]);
      rest = rest.subarray(take);
      pending = [];
      pendingBytes = 0;
    }
    if (rest.byteLength > 0) {
      pending.push(rest);
      pendingBytes += rest.byteLength;
    }
  }
  if (total !== request.sizeBytes) throw shortBody(request, total);
  if (pendingBytes > 0 || total === 0) yield Buffer.concat(pending);
}
