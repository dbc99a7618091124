import { describe, expect, test } from 'vitest';
import { AWS_LIMITS } from '../../stores/s3/s3-client.ts';
import { type CopyFacts, expectedProof, ObjectCounts, partsOf } from './plan-objects.ts';

const FACTS: CopyFacts = {
  prove: 'etag',
  sourceEtag: 'md5',
  targetEtag: 'md5',
  serverSide: true,
  partCopy: true,
  limits: AWS_LIMITS,
};
const MD5 = 'd41d8cd98f00b204e9800998ecf8427e';
const object = (more: object) => ({
  key: 'k',
  sizeBytes: 10,
  etag: MD5,
  lastModifiedMs: 0,
  storageClass: 'STANDARD',
  ...more,
});

describe('expectedProof', () => {
  test.each([
    [{}, MD5, 'etag'],
    [{}, `${MD5}-3`, 'etagInSameParts'],
    [{ partCopy: false }, `${MD5}-3`, 'checksumOrBytes'],
    [{ partCopy: false, serverSide: false }, `${MD5}-3`, 'etagInSameParts'],
    [{}, 'random', 'checksumOrBytes'],
    [{ sourceEtag: 'opaque' }, MD5, 'checksumOrBytes'],
    [{ targetEtag: 'opaque' }, MD5, 'checksumOrBytes'],
    [{ prove: 'bytes' }, MD5, 'checksumOrBytes'],
  ] as const)('%j %s: %s', (facts, etag, proof) => {
    expect(expectedProof({ etag }, { ...FACTS, ...facts })).toBe(proof);
  });
});

test('parts are those of the source, or what the limits of the store ask for', () => {
  expect(partsOf(object({ etag: `${MD5}-7` }), FACTS)).toBe(7);
  expect(partsOf(object({ sizeBytes: 5 * 1024 ** 3 }), FACTS)).toBe(0);
  expect(partsOf(object({ sizeBytes: 6 * 1024 ** 3 }), FACTS)).toBe(96);
  expect(partsOf(object({ sizeBytes: 100 * 1024 ** 2 }), { ...FACTS, serverSide: false })).toBe(2);
});

test('counts what is to be copied, what is there, what is archived', () => {
  const counts = new ObjectCounts(FACTS);
  counts.add(object({ sizeBytes: 10 }), false);
  counts.add(object({ sizeBytes: 20 }), true);
  counts.add(object({ sizeBytes: 30, storageClass: 'DEEP_ARCHIVE' }), false);
  counts.add(object({ sizeBytes: 40, storageClass: 'GLACIER' }), true);
  expect(counts).toMatchObject({ count: 4, bytes: 100, toCopy: 2, bytesToCopy: 40, already: 2 });
  expect([...counts.archived]).toEqual([['DEEP_ARCHIVE', 1]]);
});
