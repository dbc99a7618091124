import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { type AuditFinding, auditReferences } from './audit.ts';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await postgresServer();
});
afterAll(() => postgres[Symbol.asyncDispose]());

test('everything that can be wrong between a bucket and a table is found', async () => {
  await using s3 = await startS3Server({ buckets: ['pictures'] });
  const env = {
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
  await using opened = await openStore(parseStoreUrl('s3://pictures/'), { env, clock: systemClock });
  const put = (key: string, contentType: string, text = key) => {
    const body = Buffer.from(text);
    return opened.store.put({
      key,
      body,
      sizeBytes: body.byteLength,
      attributes: { contentType, metadata: {} },
      ifAbsent: false,
    });
  };
  await put('image/1/a.png', 'image/png');
  await put('image/2/a.png', 'image/png');
  await put('image/shared.png', 'image/png');
  await put('image/typed.png', 'text/plain');
  await put('image/empty.png', 'image/png', '');
  await put('image/orphan.png', 'image/png');
  await put('image/a b.png', 'image/png');
  await put('elsewhere/x.png', 'image/png');
  const database = await postgres.createDatabase();
  await database.sql(`
    CREATE TABLE avatars (id int PRIMARY KEY, path text);
    INSERT INTO avatars VALUES (1, 'image/1/a.png'), (2, 'image/2/a.png'), (3, 'image/shared.png'), (4, '/image/shared.png'),
      (5, 'image/typed.png'), (6, 'image/empty.png'), (7, 'image/gone.png'), (8, 'https://other.example/image/x.png'),
      (9, NULL), (10, 'image/a%20b.png')`);
  const findings: AuditFinding[] = [];
  const result = await auditReferences(
    {
      store: 's3://pictures/image/',
      rows: [`${database.url}#avatars.path`],
      rules: [{ kind: 'pattern', pattern: 'image/\\d/(.*)', replacement: 'avatar/$1' }],
      contentTypes: true,
    },
    { env, onFinding: (finding) => findings.push(finding) },
  );
  expect(result.objects).toBe(7);
  expect(result.counts).toEqual({
    missing: 1,
    orphan: 1,
    shared: 1,
    collision: 1,
    'content-type': 1,
    empty: 1,
  });
  const one = (kind: AuditFinding['kind']) => findings.find((finding) => finding.kind === kind);
  expect(one('missing')).toMatchObject({ key: 'image/gone.png', row: ['7'], column: 'public.avatars.path' });
  expect(one('orphan')?.key).toBe('image/orphan.png');
  expect(one('shared')).toMatchObject({ key: 'image/shared.png', rows: 2 });
  expect(one('content-type')).toMatchObject({
    key: 'image/typed.png',
    detail: 'is text/plain, not image/png',
  });
});
