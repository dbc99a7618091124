/** A bucket that is made where there is none: told apart are one that is there, one of others, and one that may not be made. */

import { beforeEach, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../../test/servers/fault-proxy.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { type OpenedStore, openStore } from '../open-store.ts';

let proxy: FaultProxy;
let opened: OpenedStore;
beforeEach(async () => {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startS3Server({ buckets: ['there'] }));
  proxy = stack.use(await startFaultProxy(server.url));
  const env = {
    AWS_ENDPOINT_URL: proxy.url,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_REGION: 'eu-central-1',
  };
  opened = stack.use(await openStore(parseStoreUrl('s3://backups/'), { env, clock: systemClock }));
  return () => stack.disposeAsync();
});
const answer = (operation: string, status: number, code: string) =>
  proxy.add({ operation, fault: { kind: 'status', status, code } });

test('made once, and there from then on', async () => {
  const first = await opened.makeBucket();
  expect(first.made).toBe(true);
  expect(await opened.store.settings()).toMatchObject({ encryption: 'AES256', region: 'eu-central-1' });
  // This server does not have the other settings, and says so.
  expect(first.notices).toEqual([
    'backups is made, but not closed to the public by a setting of its own: NotImplemented',
    'backups is made, but not cleared of unfinished uploads by a rule: NotImplemented',
  ]);
  expect(await opened.makeBucket()).toEqual({ made: false, notices: [] });
  expect((await opened.store.list({ prefix: '' })).objects).toEqual([]);
});

test('another process made it in the same moment', async () => {
  answer('PutObject', 409, 'BucketAlreadyOwnedByYou');
  expect(await opened.makeBucket()).toEqual({ made: false, notices: [] });
});

test('the name is taken by somebody else', async () => {
  answer('PutObject', 409, 'BucketAlreadyExists');
  await expect(opened.makeBucket()).rejects.toMatchObject({
    code: 'STORE_DENIED',
    message: expect.stringContaining("somebody else's"),
  });
});

test('it may not be made', async () => {
  answer('PutObject', 403, 'AccessDenied');
  await expect(opened.makeBucket()).rejects.toMatchObject({
    code: 'STORE_DENIED',
    hint: expect.stringContaining('s3:CreateBucket'),
  });
});

test('it may not be looked at', async () => {
  answer('ListObjects', 403, 'AccessDenied');
  proxy.add({ operation: 'HeadObject', fault: { kind: 'status', status: 403, code: 'AccessDenied' } });
  await expect(opened.makeBucket()).rejects.toMatchObject({
    code: 'STORE_DENIED',
    hint: expect.stringContaining('s3:ListBucket'),
  });
});

test('a name that no bucket may have is no matter of regions', async () => {
  answer('HeadObject', 400, 'InvalidBucketName');
  answer('ListObjects', 400, 'InvalidBucketName');
  await expect(opened.makeBucket()).rejects.toMatchObject({
    code: 'BUCKET_NOT_FOUND',
    hint: expect.stringContaining('correct the name backups'),
  });
});

test('a wrong secret is not renewed', async () => {
  answer('HeadObject', 403, 'SignatureDoesNotMatch');
  answer('ListObjects', 403, 'SignatureDoesNotMatch');
  await expect(opened.makeBucket()).rejects.toMatchObject({
    code: 'STORE_CREDENTIALS',
    hint: expect.stringContaining('AWS_SECRET_ACCESS_KEY'),
  });
});
