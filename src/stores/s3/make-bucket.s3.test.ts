/** Buckets made on servers that others wrote: what was asked for is read back from them. */

import { describe, expect, test } from 'vitest';
import { motoAvailable, startMoto } from '../../../test/servers/moto.ts';
import type { TestServer } from '../../../test/servers/s3-store.ts';
import { startVersitygw, versitygwAvailable } from '../../../test/servers/versitygw.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../open-store.ts';
import { staticCredentials } from './credentials.ts';
import { S3Wire } from './wire.ts';
import { elementText } from './xml.ts';

const open = (server: TestServer, bucket: string, region: string) =>
  openStore(parseStoreUrl(`s3://${bucket}/`), {
    env: {
      AWS_ENDPOINT_URL: server.url,
      AWS_ACCESS_KEY_ID: server.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
      AWS_REGION: region,
    },
    clock: systemClock,
  });
const wireTo = (server: TestServer, bucket: string, region: string) =>
  new S3Wire({
    endpoint: new URL(server.url),
    region,
    addressing: 'path',
    bucket,
    credentials: staticCredentials(server.accessKeyId, server.secretAccessKey),
    clock: systemClock,
    connectionsMax: 1,
    timeoutMs: 5_000,
    requesterPays: false,
  });

describe.skipIf(!motoAvailable())('on moto', () => {
  test.for(['us-east-1', 'eu-central-1'])(
    'a bucket in %s is private, encrypted and cleared',
    async (region) => {
      await using stack = new AsyncDisposableStack();
      const server = stack.use(await startMoto());
      const opened = stack.use(await open(server, 'backups', region));
      expect(await opened.makeBucket()).toEqual({ made: true, notices: [] });
      const wire = stack.use(wireTo(server, 'backups', region));
      const setting = async (subresource: string, ...names: string[]) => {
        const { body } = await wire.send({ method: 'GET', query: [[subresource, '']] });
        return names.map((name) => elementText(body, name));
      };
      const access = ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets'];
      expect(await setting('publicAccessBlock', ...access)).toEqual(['true', 'true', 'true', 'true']);
      expect(await setting('encryption', 'SSEAlgorithm')).toEqual(['AES256']);
      // For the whole bucket: a rule has a prefix, or none.
      expect(await setting('lifecycle', 'Status', 'DaysAfterInitiation')).toEqual(['Enabled', '7']);
      expect((await setting('lifecycle', 'Prefix'))[0] ?? '').toBe('');
      const location = await wire.send({ method: 'GET', query: [['location', '']] });
      expect(location.body).toContain(
        region === 'us-east-1' ? '<LocationConstraint' : `>${region}</LocationConstraint>`,
      );
      expect(location.body.includes('us-east-1')).toBe(false);
      expect(await opened.makeBucket()).toEqual({ made: false, notices: [] });
      // Several at once: who comes second has one that is there.
      const other = stack.use(await open(server, 'others', region));
      const all = await Promise.all([1, 2, 3, 4].map(() => other.makeBucket()));
      expect(all.flatMap(({ notices }) => notices)).toEqual([]);
      const key = '2026-11-20/datadump1.sql';
      const put = { key, body: Buffer.from('x'), sizeBytes: 1, attributes: { metadata: {} }, ifAbsent: true };
      expect(await opened.store.put(put)).toMatchObject({ kind: 'copied' });
    },
  );
});

describe.skipIf(!versitygwAvailable())('on versitygw', () => {
  test('a bucket is made by one of several, and what the store does not have is told', async () => {
    await using stack = new AsyncDisposableStack();
    const server = stack.use((await startVersitygw())!);
    const opened = stack.use(await open(server, 'backups', 'us-east-1'));
    const all = await Promise.all([1, 2, 3, 4].map(() => opened.makeBucket()));
    const made = all.filter((one) => one.made);
    expect(made.length).toBeGreaterThan(0);
    for (const { notices } of made)
      for (const notice of notices) expect(notice).toMatch(/^backups is made, but not .*: NotImplemented$/);
    expect(await opened.makeBucket()).toEqual({ made: false, notices: [] });
    for (const wrong of [{ secretAccessKey: 'wrong' }, { accessKeyId: 'nobody' }]) {
      const stranger = stack.use(await open({ ...server, ...wrong }, 'backups', 'us-east-1'));
      await expect(stranger.makeBucket()).rejects.toMatchObject({ code: 'STORE_CREDENTIALS' });
    }
  });
});
