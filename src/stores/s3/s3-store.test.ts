/** The S3 store keeps the contract over the embedded server, bare and as a job opens it. */

import { describe, expect, test } from 'vitest';
import { testStore } from '../../../test/servers/s3-store.ts';
import { type S3Server, startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { type ContractStore, describeObjectStore, type StoreExpectations } from '../object-store.contract.ts';
import { openStore } from '../open-store.ts';

const PART_BYTES = 8_192;
const LIMITS = { copyBytesMax: 2 * PART_BYTES, putBytesMax: 2 * PART_BYTES, partBytes: PART_BYTES };

const EXPECTS: StoreExpectations = {
  capabilities: {
    conditionalCopy: true,
    conditionalCopySource: true,
    conditionalPut: true,
    conditionalDelete: 'batch',
    serverSideCopy: true,
    partCopy: true,
    tags: true,
    acl: true,
    etag: 'md5',
    checksums: true,
    listing: { bytewise: true, urlEncoding: 'plus' },
  },
  settings: { versioning: 'off', region: 'us-east-1' },
  exclusions: [],
  refusesExcluded: false,
  attributesLost: [],
  storageClass: 'STANDARD_IA',
  partBytes: PART_BYTES,
  atomicPuts: true,
};

function start(): Promise<S3Server> {
  return startS3Server({
    buckets: ['bucket', 'other'],
    maxCopyBytes: 2 * PART_BYTES,
    minPartBytes: PART_BYTES,
  });
}

async function openBare(): Promise<ContractStore> {
  const server = await start();
  const store = testStore(server, 'bucket', { limits: LIMITS });
  const others = {
    other: testStore(server, 'other'),
    unknown: testStore(server, 'unknown'),
    wrong: testStore({ ...server, secretAccessKey: 'very-wrong-secret' }, 'bucket'),
  };
  return {
    store,
    other: others.other,
    unknown: others.unknown,
    locked: { store: others.wrong, secret: 'very-wrong-secret' },
    [Symbol.asyncDispose]: async () => {
      for (const one of [store, ...Object.values(others)]) await one[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function openWrapped(): Promise<ContractStore> {
  const server = await start();
  const open = (bucket: string, secretAccessKey = server.secretAccessKey) =>
    openStore(
      { kind: 's3', bucket, prefix: '', endpoint: server.url },
      {
        env: { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
        clock: systemClock,
        limits: LIMITS,
        retry: { attemptsMax: 2, baseMs: 1, waitMsMax: 1 },
      },
    );
  const [store, other, unknown, wrong] = await Promise.all([
    open('bucket'),
    open('other'),
    open('unknown'),
    open('bucket', 'very-wrong-secret'),
  ]);
  return {
    store: store.store,
    other: other.store,
    unknown: unknown.store,
    locked: { store: wrong.store, secret: 'very-wrong-secret' },
    [Symbol.asyncDispose]: async () => {
      for (const one of [store, other, unknown, wrong]) await one[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

describeObjectStore('the S3 store over the embedded server', openBare, EXPECTS);
describeObjectStore('a store opened by its URL, over the embedded server', openWrapped, EXPECTS);

describe('a versioned bucket', () => {
  test('deletion leaves a marker; removing the marker brings the object back', async () => {
    await using server = await startS3Server({ buckets: ['bucket'], versioning: true });
    await using store = testStore(server, 'bucket');
    const body = Buffer.from('kept');
    for (const key of ['a', 'b']) {
      await store.put({ key, body, sizeBytes: 4, attributes: { metadata: {} }, ifAbsent: false });
    }
    expect(await store.settings()).toMatchObject({ versioning: 'enabled' });
    const markers = [
      ...(await store.delete([{ key: 'a' }])),
      ...(await store.delete([{ key: 'b' }, { key: 'c' }])).slice(0, 1),
    ];
    expect(await store.head('a')).toBeUndefined();
    const undo = markers.map((outcome, i) => {
      expect(outcome).toMatchObject({ kind: 'deleted', markerVersionId: expect.any(String) });
      return { key: 'ab'[i]!, versionId: outcome.kind === 'deleted' ? outcome.markerVersionId : undefined };
    });
    expect((await store.delete(undo)).map((outcome) => outcome.kind)).toEqual(['deleted', 'deleted']);
    expect((await store.list({ prefix: '' })).objects.map((object) => object.key)).toEqual(['a', 'b']);
  });
});

describe('weaker stores', () => {
  test.each([
    ['conditionalCopy', false, { conditionalCopy: false }],
    ['conditionalCopySource', false, { conditionalCopySource: false }],
    ['conditionalPut', false, { conditionalPut: false }],
    ['conditionalDelete', 'single', { conditionalDelete: 'single' }],
    ['conditionalDelete', 'none', { conditionalDelete: false }],
    ['partCopy', false, { partCopy: false }],
    ['tags', false, { tags: false }],
    ['acl', false, { acl: false }],
    ['checksums', false, { checksums: false }],
  ] as const)('%s is seen to be %s', async (name, found, support) => {
    await using server = await startS3Server({ buckets: ['bucket'], support });
    await using store = testStore(server, 'bucket');
    expect(await store.capabilities('p/')).toEqual({ ...EXPECTS.capabilities, [name]: found });
    expect((await store.list({ prefix: '' })).objects).toEqual([]);
  });

  test('a store that copies nothing by itself', async () => {
    await using server = await startS3Server({ buckets: ['bucket'], support: { serverSideCopy: false } });
    await using store = testStore(server, 'bucket');
    const none = { serverSideCopy: false, conditionalCopy: false, conditionalCopySource: false };
    expect(await store.capabilities('p/')).toMatchObject(none);
  });

  test('ETags that mean nothing are opaque', async () => {
    await using server = await startS3Server({ buckets: ['bucket'], etag: 'random' });
    await using store = testStore(server, 'bucket');
    expect(await store.capabilities('p/')).toMatchObject({ etag: 'opaque', conditionalCopySource: true });
  });
});
