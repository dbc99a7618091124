/** What a store may do wrong, and what is left of it: through the wrappers as a job composes them. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fault } from '../../embedded/s3/faults.ts';
import { type S3Server, startS3Server } from '../../embedded/s3/server.ts';
import type { ErrorCode } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import type { CopyOutcome, CopyRequest } from '../object-store.ts';
import { type OpenedStore, openStore } from '../open-store.ts';
import { staticCredentials } from './credentials.ts';
import { S3Wire } from './wire.ts';
import { elements } from './xml.ts';

const PART_BYTES = 4_096;
const SMALL = Buffer.from('small');
const LARGE = Buffer.alloc(3 * PART_BYTES + 1, 'large ');
const TIMEOUT_MS = 300;

let server: S3Server;
let opened: OpenedStore;
let wire: S3Wire;
const warnings: string[] = [];
const warned = (warning: Error) => warnings.push(warning.message);

beforeAll(async () => {
  // Versions show what was written more than once.
  server = await startS3Server({ buckets: ['bucket'], versioning: true, minPartBytes: PART_BYTES });
  opened = await open();
  wire = new S3Wire({
    endpoint: new URL(server.url),
    region: 'us-east-1',
    addressing: 'path',
    bucket: 'bucket',
    credentials: staticCredentials(server.accessKeyId, server.secretAccessKey),
    clock: systemClock,
    connectionsMax: 2,
    timeoutMs: 5_000,
    requesterPays: false,
  });
  process.on('warning', warned);
});
afterAll(async () => {
  process.off('warning', warned);
  await opened[Symbol.asyncDispose]();
  await wire[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
beforeEach(() => {
  server.faults.clear();
  warnings.length = 0;
});

/** Of a request that is not done, or done and not answered as it should. */
const PASSING: readonly (readonly [string, Fault])[] = [
  ['a 500', { kind: 'status', status: 500, code: 'InternalError' }],
  ['a 503 SlowDown', { kind: 'status', status: 503, code: 'SlowDown' }],
  ['a 409 ConditionalRequestConflict', { kind: 'status', status: 409, code: 'ConditionalRequestConflict' }],
  ['SlowDown inside a 200', { kind: 'error-in-200', code: 'SlowDown', spaces: 5_000 }],
  ['InternalError inside a 200', { kind: 'error-in-200', code: 'InternalError' }],
  ['a 200 whose connection is cut', { kind: 'truncated-200', end: 'cut' }],
  ['a 200 that ends too early', { kind: 'truncated-200', end: 'early' }],
  ['an empty 200, the work done', { kind: 'empty-200', work: true }],
  ['an empty 200, the work not done', { kind: 'empty-200' }],
  ['a reset before the work', { kind: 'reset-before' }],
  ['a reset after the work', { kind: 'reset-after' }],
];
const STALL: readonly [string, Fault] = [
  'an answer that comes too late',
  { kind: 'stall', ms: 10 * TIMEOUT_MS },
];

function open(): Promise<OpenedStore> {
  return openStore(
    { kind: 's3', bucket: 'bucket', prefix: '', endpoint: server.url },
    {
      env: { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey },
      clock: systemClock,
      limits: { copyBytesMax: 2 * PART_BYTES, putBytesMax: 2 * PART_BYTES, partBytes: PART_BYTES },
      retry: { attemptsMax: 4, baseMs: 1, waitMsMax: 2 },
      timeoutMs: TIMEOUT_MS,
    },
  );
}

let names = 0;
async function source(body: Buffer): Promise<CopyRequest> {
  const sourceKey = `source-${++names}`;
  const request = {
    key: sourceKey,
    body,
    sizeBytes: body.byteLength,
    attributes: { metadata: { user: '7' } },
  };
  const put = await opened.store.put({ ...request, ifAbsent: true });
  const sourceEtag = put.kind === 'copied' ? put.etag : '';
  const rest = {
    targetKey: `target-${names}`,
    sizeBytes: body.byteLength,
    ifAbsent: true,
    keep: { tags: true },
  };
  return { sourceKey, sourceEtag, ...rest };
}

const copy = (request: CopyRequest): Promise<CopyOutcome> => opened.store.copyFrom(opened.store, request);

/** The object is there as it should be, was written once, and no upload is left unfinished. */
async function expectOnce(key: string, bytes: Buffer): Promise<void> {
  const got = await opened.store.get({ key });
  expect(Buffer.concat(await got!.body.toArray()).equals(bytes)).toBe(true);
  expect(got!.head.attributes.metadata).toEqual({ user: '7' });
  const versions = await wire.send({
    method: 'GET',
    query: [
      ['versions', ''],
      ['prefix', key],
    ],
  });
  expect([...elements(versions.body, 'Version')]).toHaveLength(1);
  const uploads = await wire.send({
    method: 'GET',
    query: [
      ['uploads', ''],
      ['prefix', key],
    ],
  });
  expect([...elements(uploads.body, 'Upload')]).toEqual([]);
  expect(warnings).toEqual([]);
}

describe('a copy is made once and only once through', () => {
  test.each([...PASSING, STALL])('%s', async (_, fault) => {
    const request = await source(SMALL);
    server.faults.add({ match: { operation: 'CopyObject' }, fault, times: 1 });
    expect(['copied', 'target-exists']).toContain((await copy(request)).kind);
    await expectOnce(request.targetKey, SMALL);
  });

  test.each(PASSING)('%s, twice', async (_, fault) => {
    const request = await source(SMALL);
    server.faults.add({ match: { operation: 'CopyObject' }, fault, times: 2 });
    expect(['copied', 'target-exists']).toContain((await copy(request)).kind);
    await expectOnce(request.targetKey, SMALL);
  });
});

describe.each(['CreateMultipartUpload', 'UploadPartCopy', 'CompleteMultipartUpload'])(
  'a copy in parts survives, of its %s,',
  (operation) => {
    test.each(PASSING)('%s', async (name, fault) => {
      const request = await source(LARGE);
      server.faults.add({ match: { operation }, fault, times: 1 });
      expect(['copied', 'target-exists']).toContain((await copy(request)).kind);
      // An upload whose id was never told cannot be aborted; nobody sees it, and lifecycle rules end it.
      const lostUpload = operation === 'CreateMultipartUpload' && /cut|early|work done|after/.test(name);
      if (!lostUpload) await expectOnce(request.targetKey, LARGE);
      else expect((await opened.store.head(request.targetKey))?.sizeBytes).toBe(LARGE.byteLength);
    });
  },
);

describe('a put of bytes is made once through', () => {
  test.each(PASSING.filter(([, fault]) => fault.kind === 'status' || fault.kind.startsWith('reset')))(
    '%s',
    async (_, fault) => {
      const key = `put-${++names}`;
      server.faults.add({ match: { operation: 'PutObject' }, fault, times: 1 });
      const request = { key, body: SMALL, sizeBytes: SMALL.byteLength, ifAbsent: true };
      const outcome = await opened.store.put({ ...request, attributes: { metadata: { user: '7' } } });
      expect(['copied', 'target-exists']).toContain(outcome.kind);
      await expectOnce(key, SMALL);
    },
  );
});

describe('listings and deletions are whole through', () => {
  test.each([...PASSING, STALL])('%s', async (_, fault) => {
    const prefix = `many-${++names}/`;
    const keys = Array.from({ length: 20 }, (_, i) => `${prefix}${String(i).padStart(2, '0')}`);
    for (const key of keys) {
      await opened.store.put({
        key,
        body: SMALL,
        sizeBytes: 5,
        attributes: { metadata: {} },
        ifAbsent: true,
      });
    }
    server.faults.add({ match: { operation: 'ListObjectsV2' }, fault, times: 1 });
    const page = await opened.store.list({ prefix });
    expect(page.objects.map((object) => object.key)).toEqual(keys);
    expect(page.more).toBe(false);
    server.faults.add({ match: { operation: 'DeleteObjects' }, fault, times: 1 });
    const outcomes = await opened.store.delete(keys.map((key) => ({ key })));
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(keys.map(() => 'deleted'));
    expect((await opened.store.list({ prefix })).objects).toEqual([]);
  });
});

describe('what does not pass ends with its code', () => {
  const codes: readonly (readonly [ErrorCode, Fault, number])[] = [
    ['STORE_UNAVAILABLE', { kind: 'status', status: 500, code: 'InternalError' }, 4],
    ['STORE_SLOW_DOWN', { kind: 'status', status: 503, code: 'SlowDown' }, 4],
    ['STORE_SLOW_DOWN', { kind: 'status', status: 429, code: 'TooManyRequests' }, 4],
    ['STORE_SLOW_DOWN', { kind: 'error-in-200', code: 'SlowDown' }, 4],
    ['STORE_UNAVAILABLE', { kind: 'error-in-200', code: 'InternalError' }, 4],
    ['STORE_UNAVAILABLE', { kind: 'empty-200' }, 4],
    ['STORE_UNAVAILABLE', { kind: 'reset-before' }, 4],
    ['STORE_DENIED', { kind: 'denied' }, 1],
    ['STORE_CREDENTIALS', { kind: 'expired-token' }, 1],
    ['OBJECT_ARCHIVED', { kind: 'status', status: 403, code: 'InvalidObjectState' }, 1],
    ['STORE_UNSUPPORTED', { kind: 'status', status: 501, code: 'NotImplemented' }, 1],
    ['BUCKET_NOT_FOUND', { kind: 'status', status: 404, code: 'NoSuchBucket' }, 1],
    ['BUCKET_REGION', { kind: 'status', status: 301, code: 'PermanentRedirect' }, 1],
  ];

  test.each(codes)('%s after %o, tried %i times', async (code, fault, attempts) => {
    const request = await source(SMALL);
    server.faults.add({ match: { operation: 'CopyObject' }, fault });
    const before = server.requests['CopyObject'] ?? 0;
    const error: unknown = await copy(request).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    expect(`${error} ${JSON.stringify(error)}`).not.toContain(server.secretAccessKey);
    expect((server.requests['CopyObject'] ?? 0) - before).toBe(attempts);
    server.faults.clear();
    expect(await opened.store.head(request.targetKey)).toBeUndefined();
    expect(await copy(request)).toMatchObject({ kind: 'copied' });
  });

  test('STORE_TIMEOUT when no answer ever comes in time, the work not repeated', async () => {
    const request = { ...(await source(SMALL)), ifAbsent: false };
    const body = { key: 'late', body: SMALL, sizeBytes: 5, attributes: { metadata: {} }, ifAbsent: false };
    server.faults.add({ match: { operation: 'PutObject' }, fault: { kind: 'stall', ms: 60_000 } });
    await expect(opened.store.put(body)).rejects.toMatchObject({ code: 'STORE_TIMEOUT' });
    server.faults.clear();
    expect(await copy(request)).toMatchObject({ kind: 'copied' });
  });

  test('STORE_UNREACHABLE when nobody listens', async () => {
    await using gone = await openStore(
      { kind: 's3', bucket: 'bucket', prefix: '', endpoint: 'http://127.0.0.1:1' },
      {
        env: { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
        clock: systemClock,
        retry: { attemptsMax: 2, baseMs: 1, waitMsMax: 1 },
      },
    );
    await expect(gone.store.list({ prefix: '' })).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
  });
});

test('SlowDown lowers the concurrency; other failures do not', async () => {
  // A store of its own: what it is asked for has one prefix.
  await using fresh = await open();
  const { limiter, store } = fresh;
  const before = limiter.refusals;
  const requests = [await source(SMALL), await source(SMALL)];
  server.faults.add({ match: { operation: 'CopyObject' }, fault: { kind: 'reset-before' }, times: 1 });
  await copy(requests[0]!);
  expect(limiter.refusals).toBe(before);
  server.faults.add({
    match: { operation: 'CopyObject' },
    fault: { kind: 'error-in-200', code: 'SlowDown' },
    times: 1,
  });
  await store.copyFrom(store, requests[1]!);
  expect(limiter.refusals).toBe(before + 1);
});

test('a body that is being read ends with the reason of the signal', async () => {
  const key = `read-${++names}`;
  const body = Buffer.alloc(2_000_000, 'x');
  await opened.store.put({
    key,
    body,
    sizeBytes: body.byteLength,
    attributes: { metadata: {} },
    ifAbsent: true,
  });
  const controller = new AbortController();
  const got = await opened.store.get({ key }, controller.signal);
  const reason = new Error('enough');
  const reading = got!.body.toArray();
  controller.abort(reason);
  await expect(reading).rejects.toBe(reason);
});
