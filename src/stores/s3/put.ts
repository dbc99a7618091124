/** Puts objects whose bytes pass through us: whole when small, in parts when large, with flat memory. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { LongshoreError } from '../../errors.ts';
import { BufferPool } from '../../flow/buffer-pool.ts';
import { DEFAULT_RETRY } from '../../flow/retry.ts';
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
import { partBytesFor, type S3Client, type S3Limits } from './s3-client.ts';
import type { WireRequest } from './wire.ts';
import { bareEtag } from './xml.ts';

export async function putObject(
  client: S3Client,
  request: PutRequest,
  signal?: AbortSignal,
): Promise<CopyOutcome> {
  const { sizeBytes, partBytes } = request;
  if (sizeBytes === undefined) return putStream(client, request, signal);
  if (partBytes === undefined && sizeBytes <= client.limits.putBytesMax)
    return putWhole(client, await wholeBody(request, sizeBytes), request, signal);
  const { limits } = client;
  const usual = Math.min(limits.partBytes, limits.streamPartBytes);
  const each = partBytesFor(sizeBytes, limits, partBytes ?? usual);
  const pool = new PartPool();
  const parts = inParts(piecesOf(request), () => each, pool, sizeBytes, request.key);
  return putInParts(client, parts, pool, request, signal);
}

/**
 * Of a size that nobody knows: what fits into the first part is put whole. What comes out of a stream comes once, and nobody
 * behind can try it again.
 */
async function putStream(client: S3Client, request: PutRequest, signal?: AbortSignal): Promise<CopyOutcome> {
  const { limits } = client;
  const pool = new PartPool();
  const parts = inParts(
    piecesOf(request),
    (number) => growingPartBytes(number, limits),
    pool,
    undefined,
    request.key,
  );
  const first = await parts.next();
  const whole = (body: Buffer): Promise<CopyOutcome> =>
    client.retryPart(() => putWhole(client, body, request, signal), signal, DEFAULT_RETRY);
  if (first.done === true) return whole(Buffer.alloc(0));
  const second = await parts.next();
  if (second.done === true) return whole(first.value);
  const all = async function* (): AsyncGenerator<Buffer> {
    yield first.value;
    yield second.value;
    yield* parts;
  };
  return putInParts(client, all(), pool, request, signal);
}

/** Twice as large for each tenth of the parts, so that their count does not limit an object before its size does. */
function growingPartBytes(number: number, { streamPartBytes, partsMax, partBytesMax }: S3Limits): number {
  return Math.min(partBytesMax, streamPartBytes * 2 ** Math.floor(((number - 1) * 10) / partsMax));
}

async function putWhole(
  client: S3Client,
  body: Uint8Array,
  request: PutRequest,
  signal: AbortSignal | undefined,
): Promise<CopyOutcome> {
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

/** @param bodies of the parts, in order @param pool that they are given back to */
async function putInParts(
  client: S3Client,
  bodies: AsyncIterable<Buffer>,
  pool: PartPool,
  request: PutRequest,
  signal: AbortSignal | undefined,
): Promise<CopyOutcome> {
  const headers = attributeHeaders(request.attributes);
  const policy = request.sizeBytes === undefined ? DEFAULT_RETRY : undefined;
  const begin = () => createUpload(client, request.key, headers, request.tags ?? [], signal);
  const uploadId = await client.retryPart(begin, signal, policy);
  const underWay = new Set<Promise<void>>();
  try {
    // Of what nobody knows the size of, nobody has an MD5 to hold this against.
    const md5 = request.sizeBytes === undefined ? undefined : createHash('md5');
    const parts: UploadedPart[] = [];
    let partNumber = 0;
    for await (const part of bodies) {
      md5?.update(part);
      const number = ++partNumber;
      const attempt = () => uploadPart(client, request.key, uploadId, number, part, signal);
      const upload = client.retryPart(attempt, signal, policy).then((done) => {
        parts[number - 1] = done;
        pool.give(part);
        underWay.delete(upload);
      });
      // A failure is thrown by the race or by the wait for all; until then it must not count as unhandled.
      upload.catch(() => undefined);
      underWay.add(upload);
      if (underWay.size >= PARTS_IN_MEMORY) await Promise.race(underWay);
    }
    await Promise.all(underWay);
    // After hours of parts one answer that is lost is no reason to do it all again.
    const complete = () => completeUpload(client, request.key, uploadId, parts, conditions(request), signal);
    const done = await client.retryPart(complete, signal);
    if (done === 'target-exists') {
      await abortUpload(client, request.key, uploadId);
      return { kind: 'target-exists' };
    }
    return { kind: 'copied', etag: done.etag, how: 'stream', md5: md5?.digest('hex') };
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

async function wholeBody(request: PutRequest, sizeBytes: number): Promise<Uint8Array> {
  const { key } = request;
  if (request.body instanceof Uint8Array) return checkSize(key, request.body, sizeBytes);
  if ('path' in request.body) return checkSize(key, await readFile(request.body.path), sizeBytes);
  // In its place at once: pieces put together at the end would be in memory twice.
  const body = Buffer.allocUnsafeSlow(sizeBytes);
  let bytes = 0;
  for await (const chunk of request.body as AsyncIterable<Buffer>) {
    if (bytes + chunk.byteLength <= body.byteLength) body.set(chunk, bytes);
    bytes += chunk.byteLength;
  }
  if (bytes !== sizeBytes) throw shortBody(key, bytes, sizeBytes);
  return body;
}

function checkSize(key: string, body: Uint8Array, sizeBytes: number): Uint8Array {
  if (body.byteLength === sizeBytes) return body;
  throw shortBody(key, body.byteLength, sizeBytes);
}

function shortBody(key: string, got: number, announced: number): LongshoreError {
  return new LongshoreError(
    'STORE_UNAVAILABLE',
    `the body of ${key} is ${got} bytes and not the ${announced} announced`,
    { context: { key } },
  );
}

function piecesOf({ body }: PutRequest): AsyncIterable<Buffer> | Iterable<Buffer> {
  if (body instanceof Uint8Array) return [Buffer.from(body)];
  return 'path' in body ? createReadStream(body.path, { highWaterMark: READ_BYTES }) : body;
}

const READ_BYTES = 1024 ** 2;

/** The buffers of parts: a pool of one size after the other, since parts may grow. */
class PartPool {
  #pool: BufferPool | undefined;

  take(bytes: number): Buffer {
    if (this.#pool?.bufferBytes !== bytes) this.#pool = new BufferPool(bytes, PARTS_IN_MEMORY);
    return this.#pool.take();
  }

  give(part: Buffer): void {
    this.#pool?.give(part);
  }
}

/** @param partBytes of the part with that number, from 1 @param sizeBytes of all, where it is known */
async function* inParts(
  body: AsyncIterable<Buffer> | Iterable<Buffer>,
  partBytes: (number: number) => number,
  pool: PartPool,
  sizeBytes: number | undefined,
  key: string,
): AsyncGenerator<Buffer, undefined> {
  // In its place at once: pieces put together at the end would be in memory twice.
  let part: Buffer | undefined;
  let filled = 0;
  let total = 0;
  let number = 1;
  for await (const chunk of body) {
    total += chunk.byteLength;
    for (let at = 0; at < chunk.byteLength; ) {
      part ??= pool.take(partBytes(number));
      const taken = chunk.copy(part, filled, at);
      at += taken;
      filled += taken;
      if (filled < part.byteLength) continue;
      yield part;
      part = undefined;
      filled = 0;
      number++;
    }
  }
  if (sizeBytes !== undefined && total !== sizeBytes) throw shortBody(key, total, sizeBytes);
  if (filled > 0 || total === 0) yield part?.subarray(0, filled) ?? Buffer.alloc(0);
  return undefined;
}
