import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresTestDatabase, postgresServer } from '../../../test/servers/postgres.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { type S3Server, type S3ServerOptions, startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { type CheckEnvironment, checkMove } from './check.ts';
import type { MoveOptions } from './settings.ts';

const FROM = 's3://legacy-s3/image/';
const TO = 's3://production-s3/avatar/';

const envOf = (s3: S3Server, key = s3.accessKeyId, secret = s3.secretAccessKey) => ({
  AWS_ENDPOINT_URL: s3.url,
  AWS_ACCESS_KEY_ID: key,
  AWS_SECRET_ACCESS_KEY: secret,
  AWS_REGION: 'us-east-1',
});

async function startStore(options: S3ServerOptions = {}): Promise<S3Server> {
  const s3 = await startS3Server({ buckets: ['legacy-s3', 'production-s3'], ...options });
  await using opened = await openStore(parseStoreUrl(FROM), { env: envOf(s3), clock: systemClock });
  for (const key of ['image/1.png', 'image/2.png']) {
    await opened.store.put({
      key,
      body: Buffer.from('x'),
      sizeBytes: 1,
      attributes: { metadata: {}, ...(key === 'image/2.png' ? { storageClass: 'DEEP_ARCHIVE' } : {}) },
      tags: [{ key: 'kept', value: 'yes' }],
      ifAbsent: false,
    });
  }
  return s3;
}

async function keysOf(s3: S3Server, url: string): Promise<string[]> {
  await using opened = await openStore(parseStoreUrl(url), { env: envOf(s3), clock: systemClock });
  return (await opened.store.list({ prefix: '' })).objects.map(({ key }) => key);
}

describe('checkMove', () => {
  let stack: AsyncDisposableStack;
  let database: PostgresTestDatabase;
  beforeAll(async () => {
    stack = new AsyncDisposableStack();
    const server = stack.use(await postgresServer());
    database = await server.createDatabase();
    await database.sql(`
      CREATE TABLE avatars (id bigserial PRIMARY KEY, path text);
      CREATE INDEX ON avatars (path);
      INSERT INTO avatars (path) VALUES ('image/1.png'), ('image/2.png');
      CREATE TABLE keyless (path varchar(12));
      INSERT INTO keyless VALUES ('image/1.png');
      CREATE TABLE triggered (id int PRIMARY KEY, path text, twice text GENERATED ALWAYS AS (path || path) STORED);
      CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
      CREATE TRIGGER touch_updated BEFORE UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION touch();
      CREATE VIEW shown AS SELECT * FROM avatars;
      CREATE ROLE reader_${database.name} LOGIN PASSWORD 'reader';
      GRANT SELECT ON avatars TO reader_${database.name};
    `);
  });
  afterAll(async () => {
    await database.sql(`DROP OWNED BY reader_${database.name}; DROP ROLE reader_${database.name}`);
    await stack.disposeAsync();
  });

  const check = (s3: S3Server, more: Partial<MoveOptions> = {}, environment: CheckEnvironment = {}) =>
    checkMove(
      { from: FROM, to: TO, rows: `${database.url}#avatars.path`, ...more },
      { env: envOf(s3), ...environment },
    );
  const textsOf = (result: Awaited<ReturnType<typeof check>>) =>
    result.findings.map(({ level, what, action }) =>
      [level, what, ...(action === undefined ? [] : [action])].join(' '),
    );

  test('a move that is well has no errors, and leaves no marker', async () => {
    await using s3 = await startStore();
    const result = await check(s3);
    expect(result.errors, textsOf(result).join('\n')).toBe(0);
    expect(textsOf(result)).toEqual([
      'warning of 2 objects 1 in DEEP_ARCHIVE must be restored before they can be copied s3:RestoreObject',
    ]);
    expect(result.source?.capabilities).toMatchObject({ conditionalDelete: 'batch', etag: 'md5' });
    expect(result.target?.capabilities).toMatchObject({ conditionalCopy: true, partCopy: true, tags: true });
    expect(result.source?.settings).toMatchObject({ versioning: 'off' });
    expect(result.fallbacks).toEqual([]);
    expect(result.columns.map(({ name }) => name)).toEqual(['public.avatars.path']);
    expect(await keysOf(s3, FROM)).toEqual(['image/1.png', 'image/2.png']);
    expect(await keysOf(s3, TO)).toEqual([]);
  });

  test('one part that fails does not hide the others', async () => {
    await using s3 = await startStore();
    const result = await check(s3, {
      to: 's3://nowhere/avatar/',
      rows: [
        `${database.url}#avatar.path`,
        `${database.url}#triggered.twice,shown.path`,
        'postgres://127.0.0.1:1/x#a.b',
      ],
    });
    const codes = result.findings.filter(({ level }) => level === 'error').map(({ code }) => code);
    expect(codes.sort()).toEqual([
      'BUCKET_NOT_FOUND',
      'CHECK_FAILED',
      'CHECK_FAILED',
      'DATABASE_UNREACHABLE',
      'TABLE_NOT_FOUND',
    ]);
    const texts = textsOf(result).join('\n');
    expect(texts).toContain('public.triggered.twice is generated');
    expect(texts).toContain('public.shown.path is in a view');
    expect(result.errors).toBe(5);
    for (const { fix } of result.findings) expect(fix).not.toBe('');
  });

  test('keys, triggers, lengths and grants of tables', async () => {
    await using s3 = await startStore();
    const rows = [`${database.url}#keyless.path,triggered.path`];
    const texts = textsOf(await check(s3, { rows }));
    expect(texts).toContainEqual(expect.stringMatching(/^warning public.keyless has no primary key/));
    expect(texts).toContainEqual(
      expect.stringMatching(/^warning public.triggered has triggers .*: touch_updated$/),
    );
    expect(texts).toContainEqual(expect.stringMatching(/^info public.triggered.path has no index/));
    const longer = textsOf(await check(s3, { rows, to: 's3://production-s3/avatars/' }));
    expect(longer).toContainEqual(
      'error 1 of 1 new values are longer than the 12 characters of public.keyless.path',
    );
    const reader = new URL(database.url);
    [reader.username, reader.password] = [`reader_${database.name}`, 'reader'];
    expect(textsOf(await check(s3, { rows: `${reader.href}#avatars.path` }))).toContainEqual(
      'error no UPDATE on public.avatars.path',
    );
  });

  test('a replica whose lag cannot be seen is said where it was asked for', async () => {
    await using s3 = await startStore();
    const texts = textsOf(await check(s3, { replicaLagMax: '5s' }));
    expect(texts).toContainEqual(expect.stringMatching(/^warning the replicas of .* cannot be seen/));
  });

  test('missing permissions are named by their action', async () => {
    const allow = (actions: string[], resource: string) => actions.map((action) => ({ action, resource }));
    const policies = [
      {
        accessKeyId: 'few',
        secretAccessKey: 'few-secret',
        allow: [...allow(['s3:ListBucket'], 'legacy-s3'), ...allow(['s3:ListBucket'], 'production-s3')],
      },
      {
        accessKeyId: 'least',
        secretAccessKey: 'least-secret',
        allow: [
          ...allow(['s3:ListBucket'], 'legacy-s3'),
          ...allow(['s3:ListBucket'], 'production-s3'),
          ...allow(['s3:GetObject', 's3:GetObjectTagging', 's3:DeleteObject'], 'legacy-s3/image/*'),
          ...allow(['s3:PutObject', 's3:GetObject', 's3:PutObjectTagging'], 'production-s3/avatar/*'),
        ],
      },
    ];
    await using s3 = await startStore({ policies });
    const few = await check(s3, {}, { env: envOf(s3, 'few', 'few-secret') });
    const errors = few.findings.filter(({ level }) => level === 'error').map(({ action }) => action);
    expect(errors).toEqual(expect.arrayContaining(['s3:GetObject', 's3:DeleteObject']));
    expect(few.source?.capabilities).toBeUndefined();
    const never = await check(s3, { delete: 'never' }, { env: envOf(s3, 'few', 'few-secret') });
    const actions = never.findings.filter(({ level }) => level === 'error').map(({ action }) => action);
    expect(actions).not.toContain('s3:DeleteObject');
    const least = await check(s3, {}, { env: envOf(s3, 'least', 'least-secret') });
    const notProbed = least.findings.filter(({ what }) => what.includes('no marker may be written'));
    expect(notProbed.map(({ level }) => level)).toEqual(['info', 'info']);
    expect(await keysOf(s3, FROM)).toEqual(['image/1.png', 'image/2.png']);
  });

  test('versions, key management, what a store does not honour', async () => {
    await using s3 = await startStore({ versioning: true, kms: true, support: { conditionalDelete: false } });
    const result = await check(s3);
    const texts = textsOf(result);
    expect(texts).toContainEqual(expect.stringMatching(/^warning s3:\/\/legacy-s3 is versioned \(enabled\)/));
    expect(texts).toContainEqual(
      expect.stringMatching(/^info s3:\/\/legacy-s3 encrypts with aws:kms.* kms:Decrypt$/),
    );
    expect(texts).toContainEqual(
      expect.stringMatching(/^info s3:\/\/production-s3 encrypts .* kms:GenerateDataKey$/),
    );
    expect(result.fallbacks.join('\n')).toContain('ignores If-Match on deletes');
    expect(textsOf(await check(s3, { delete: 'never' })).join('\n')).not.toContain('is versioned');
  });

  test('a clock that is off, a store that does not answer, places that overlap', async () => {
    await using s3 = await startStore();
    const clock = { ...systemClock, now: () => Date.now() + 300_000 };
    expect(textsOf(await check(s3, {}, { clock }))).toContainEqual(
      expect.stringMatching(/^warning this machine's clock is (299|300|301) s ahead of that of s3:\/\//),
    );
    const nobody = { ...envOf(s3), AWS_ENDPOINT_URL: 'http://127.0.0.1:1' };
    const unreachable = await check(s3, {}, { env: nobody });
    expect(unreachable.findings.map(({ code }) => code)).toContain('STORE_UNREACHABLE');
    const overlap = await check(s3, { to: 's3://legacy-s3/image/new/' });
    expect(overlap.findings.map(({ code }) => code)).toContain('LOCATIONS_OVERLAP');
    await expect(checkMove({ from: FROM } as MoveOptions)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
