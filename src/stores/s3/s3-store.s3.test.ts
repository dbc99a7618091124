/** The S3 store keeps the contract over a production-grade server; what that server cannot do is listed. */

import { describe } from 'vitest';
import { testStore } from '../../../test/servers/s3-store.ts';
import { createBuckets, startVersitygw, versitygwAvailable } from '../../../test/servers/versitygw.ts';
import { type ContractStore, describeObjectStore, type Exclusion } from '../object-store.contract.ts';

const MIB = 1024 ** 2;
const LIMITS = { copyBytesMax: 10 * MIB, putBytesMax: 10 * MIB, partBytes: 5 * MIB };

/** It keeps objects as files. */
const EXCLUSIONS: readonly Exclusion[] = [
  {
    reason: 'a part of the key is empty, "." or "..": no file can have this name',
    excludes: (key) => key.split('/').some((part) => part === '' || part === '.' || part === '..'),
  },
  {
    reason: 'a part of the key is longer than the 255 bytes of a file name',
    excludes: (key) => key.split('/').some((part) => Buffer.byteLength(part) > 255),
  },
  {
    reason: 'listings are not URL-encoded and replace what XML cannot hold by U+FFFD',
    excludes: (key) => /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(key),
  },
  {
    reason: 'a file and a folder cannot share a name',
    excludes: (key, kept) =>
      [...kept].some((other) => other.startsWith(`${key}/`) || key.startsWith(`${other}/`)),
  },
];

async function open(): Promise<ContractStore> {
  const server = await startVersitygw();
  if (server === undefined) throw new Error('no versitygw');
  await createBuckets(server, ['bucket', 'other']);
  const store = testStore(server, 'bucket', { limits: LIMITS });
  const other = testStore(server, 'other');
  const unknown = testStore(server, 'unknown');
  const wrong = testStore({ ...server, secretAccessKey: 'very-wrong-secret' }, 'bucket');
  return {
    store,
    other,
    unknown,
    locked: { store: wrong, secret: 'very-wrong-secret' },
    [Symbol.asyncDispose]: async () => {
      for (const one of [store, other, unknown, wrong]) await one[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

describe.skipIf(!versitygwAvailable())('with a server', () => {
  describeObjectStore('the S3 store over versitygw', open, {
    capabilities: {
      // Both conditions are ignored without a word.
      conditionalCopy: false,
      conditionalCopySource: true,
      conditionalPut: true,
      conditionalDelete: 'single',
      serverSideCopy: true,
      partCopy: true,
      tags: true,
      acl: false,
      etag: 'md5',
      checksums: true,
      listing: { bytewise: true, urlEncoding: 'plus' },
    },
    settings: { versioning: 'off', region: 'us-east-1' },
    exclusions: EXCLUSIONS,
    refusesExcluded: false,
    attributesLost: [],
    partBytes: 5 * MIB,
    atomicPuts: true,
  });
});
