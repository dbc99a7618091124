import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { HastyClock } from '../../test/fakes/manual-clock.ts';
import { testStore } from '../../test/servers/s3-store.ts';
import { type S3Server, startS3Server } from '../embedded/s3/server.ts';
import type { LongshoreError } from '../errors.ts';
import { ByteBudget } from '../flow/byte-budget.ts';
import { FilesStore } from './files/files-store.ts';
import { bytesOf, SAMPLE_ATTRIBUTES } from './object-store.contract.ts';
import type { CopyRequest, ObjectStore } from './object-store.ts';
import type { S3Store } from './s3/s3-store.ts';
import { type TransferOptions, transfer } from './transfer.ts';

const PART_BYTES = 8_192;
const LIMITS = { putBytesMax: 2 * PART_BYTES, partBytes: PART_BYTES };
const TAGS = [{ key: 'a b', value: 'c+d' }];

let servers: [S3Server, S3Server];
let source: S3Store;
let target: S3Store;
let elsewhere: S3Store;
let files: FilesStore;
let folder: string;
const refused: string[] = [];
const OPTIONS: TransferOptions = {
  how: 'auto',
  retry: { attemptsMax: 3, baseMs: 1, waitMsMax: 1 },
  hooks: { clock: new HastyClock() },
  budget: new ByteBudget(1024 ** 2),
  onRefused: (key: string, error: LongshoreError) => refused.push(`${key}: ${error.code}`),
};

beforeAll(async () => {
  const start = () => startS3Server({ buckets: ['source', 'target'], minPartBytes: PART_BYTES });
  servers = [await start(), await start()];
  source = testStore(servers[0], 'source', { limits: LIMITS });
  target = testStore(servers[0], 'target', { limits: LIMITS });
  elsewhere = testStore(servers[1], 'target', { limits: LIMITS });
  folder = mkdtempSync(join(tmpdir(), 'longshore-transfer-'));
  mkdirSync(join(folder, 'bucket'));
  files = new FilesStore(join(folder, 'bucket'));
});
afterAll(async () => {
  for (const store of [source, target, elsewhere]) await store[Symbol.asyncDispose]();
  for (const server of servers) await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  refused.length = 0;
  for (const server of servers) server.faults.clear();
});

let names = 0;
async function sample(body: Buffer = bytesOf(100), from: ObjectStore = source): Promise<CopyRequest> {
  const key = `object ${++names}.png`;
  const object = { body, sizeBytes: body.byteLength, attributes: SAMPLE_ATTRIBUTES, tags: TAGS };
  const put = await from.put({ key, ...object, ifAbsent: true });
  const sourceEtag = put.kind === 'copied' ? put.etag : '';
  return { sourceKey: key, sourceEtag, targetKey: `moved/${key}`, ifAbsent: true, keep: { tags: true } };
}

async function expectMoved(store: ObjectStore, key: string, bytes: Buffer): Promise<void> {
  const got = await store.get({ key });
  expect(Buffer.concat(await got!.body.toArray()).equals(bytes)).toBe(true);
  expect(got!.head.attributes).toMatchObject(SAMPLE_ATTRIBUTES);
  expect(await store.tags(key)).toEqual(TAGS);
}

describe('copies', () => {
  test('are left to the store where it can', async () => {
    const request = await sample();
    expect(await transfer(source, target, request, OPTIONS)).toMatchObject({ kind: 'copied', how: 'server' });
    await expectMoved(target, request.targetKey, bytesOf(100));
  });

  test.each([
    ['denied', { kind: 'denied' }, 'STORE_DENIED'],
    ['not implemented', { kind: 'status', status: 501, code: 'NotImplemented' }, 'STORE_UNSUPPORTED'],
    [
      'refused for a reason of its own',
      { kind: 'status', status: 400, code: 'InvalidRequest' },
      'OBJECT_FAILED',
    ],
  ] as const)('that are %s are streamed', async (_, fault, code) => {
    servers[0].faults.add({ match: { operation: 'CopyObject' }, fault });
    const request = await sample();
    const outcome = await transfer(source, target, request, OPTIONS);
    expect(outcome).toMatchObject({
      kind: 'copied',
      how: 'stream',
      etag: request.sourceEtag,
      md5: request.sourceEtag,
    });
    expect(refused).toEqual([`${request.sourceKey}: ${code}`]);
    await expectMoved(target, request.targetKey, bytesOf(100));
  });

  test('that fail otherwise are not streamed', async () => {
    servers[0].faults.add({ match: { operation: 'CopyObject' }, fault: { kind: 'expired-token' } });
    const request = await sample();
    await expect(transfer(source, target, request, OPTIONS)).rejects.toMatchObject({
      code: 'STORE_CREDENTIALS',
    });
    expect(refused).toEqual([]);
    expect(await target.head(request.targetKey)).toBeUndefined();
  });

  test('between two servers, and between a server and a folder, are streamed with all that belongs to them', async () => {
    for (const sizeBytes of [0, 100, 3 * PART_BYTES + 1]) {
      const bytes = bytesOf(sizeBytes);
      for (const [from, to] of [
        [source, elsewhere],
        [source, files],
        [files, target],
      ] as const) {
        expect(to.canCopyFrom(from)).toBe(false);
        const request = await sample(bytes, from);
        const outcome = await transfer(from, to, request, { ...OPTIONS, how: 'stream' });
        expect(outcome).toMatchObject({ kind: 'copied', how: 'stream' });
        await expectMoved(to, request.targetKey, bytes);
      }
    }
  });

  test('keep the part layout where it is asked for', async () => {
    const bytes = bytesOf(3 * PART_BYTES + 1);
    const request = await sample(bytes);
    expect(request.sourceEtag).toMatch(/-4$/);
    const outcome = await transfer(source, elsewhere, { ...request, partBytes: PART_BYTES }, OPTIONS);
    expect(outcome).toMatchObject({ kind: 'copied', etag: request.sourceEtag });
  });
});

describe('a stream', () => {
  const STREAM: TransferOptions = { ...OPTIONS, how: 'stream' };

  test('is bound to the object it was asked for', async () => {
    const request = await sample();
    const gone = { ...request, sourceKey: 'absent' };
    expect(await transfer(source, target, gone, STREAM)).toEqual({ kind: 'source-missing' });
    const changed = { ...request, sourceEtag: 'other' };
    expect(await transfer(source, target, changed, STREAM)).toEqual({ kind: 'source-changed' });
    expect(await transfer(source, target, request, STREAM)).toMatchObject({ kind: 'copied' });
    expect(await transfer(source, target, request, STREAM)).toEqual({ kind: 'target-exists' });
  });

  test.each([
    ['read', { operation: 'GetObject' }, { kind: 'truncated-200' }],
    ['read', { operation: 'GetObject' }, { kind: 'reset-before' }],
    ['written', { operation: 'PutObject' }, { kind: 'reset-before' }],
    ['written', { operation: 'PutObject' }, { kind: 'status', status: 503, code: 'SlowDown' }],
  ] as const)('that breaks while it is %s is read and written again', async (_, match, fault) => {
    const request = await sample();
    servers[0].faults.add({ match, fault, times: 1 });
    expect(await transfer(source, target, request, STREAM)).toMatchObject({ kind: 'copied', how: 'stream' });
    await expectMoved(target, request.targetKey, bytesOf(100));
  });

  test('of a large object that breaks in the middle is begun again, and leaves no parts', async () => {
    const bytes = bytesOf(5 * PART_BYTES);
    const request = await sample(bytes);
    servers[0].faults.add({ match: { operation: 'GetObject' }, fault: { kind: 'truncated-200' }, times: 1 });
    servers[0].faults.add({ match: { operation: 'UploadPart' }, fault: { kind: 'reset-before' }, times: 1 });
    expect(await transfer(source, target, request, STREAM)).toMatchObject({ kind: 'copied' });
    await expectMoved(target, request.targetKey, bytes);
  });
});
