/** A move through its public function, on the embedded S3 server and a real PostgreSQL. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import type { Fault } from '../../embedded/s3/faults.ts';
import { type S3Server, type S3ServerOptions, startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { openStore } from '../../stores/open-store.ts';
import { type MoveRunOptions, move } from './run.ts';
import type { MoveOptions } from './settings.ts';
import type { MoveSummary } from './summary.ts';
import { undoMove } from './undo.ts';
import { verifyMove } from './verify.ts';

const FROM = 's3://legacy-s3/image/';
const TO = 's3://production-s3/avatar/';

let postgres: PostgresServer;
let database: PostgresTestDatabase;
let folder: string;
let cleanup: AsyncDisposableStack;
let s3: S3Server;
let legacy: ObjectStore;
let production: ObjectStore;

beforeAll(async () => {
  postgres = await postgresServer();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-move-'));
  cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
});
afterEach(() => cleanup.disposeAsync());

function environment(): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
}

async function start(options: S3ServerOptions = {}): Promise<void> {
  s3 = cleanup.use(await startS3Server({ buckets: ['legacy-s3', 'production-s3'], ...options }));
  const open = async (url: string): Promise<ObjectStore> =>
    cleanup.use(await openStore(parseStoreUrl(url), { env: environment(), clock: systemClock })).store;
  [legacy, production] = [await open(FROM), await open(TO)];
  database = await postgres.createDatabase();
  await database.sql(
    'CREATE TABLE avatars (id bigserial PRIMARY KEY, path text NOT NULL); CREATE INDEX ON avatars (path)',
  );
}

async function put(
  store: ObjectStore,
  key: string,
  text = key,
  more: Partial<Parameters<ObjectStore['put']>[0]> = {},
): Promise<void> {
  const body = Buffer.from(text);
  await store.put({
    key,
    body,
    sizeBytes: body.byteLength,
    attributes: {
      contentType: 'image/png',
      cacheControl: 'max-age=1',
      contentDisposition: 'inline',
      contentLanguage: 'en',
      metadata: { user: '7' },
    },
    tags: [{ key: 'kind', value: 'avatar' }],
    ifAbsent: false,
    ...more,
  });
}

async function insert(...paths: string[]): Promise<void> {
  for (const path of paths) await database.sql(`INSERT INTO avatars (path) VALUES (${quoted(path)})`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

async function paths(table = 'avatars', column = 'path'): Promise<string[]> {
  const rows = await database.sql(`SELECT ${column}::text AS value FROM ${table} ORDER BY id`);
  return rows.map((row) => String(row['value']));
}

async function read(store: ObjectStore, key: string): Promise<string | undefined> {
  const opened = await store.get({ key });
  if (opened === undefined) return undefined;
  let text = '';
  for await (const chunk of opened.body) text += String(chunk);
  return text;
}

function run(options: Partial<MoveOptions> = {}, more: MoveRunOptions = {}): Promise<MoveSummary> {
  return move(
    { from: FROM, to: TO, rows: `${database.url}#avatars.path`, delete: 'proven', ...options },
    { env: environment(), stateFolder: folder, ...more },
  );
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await store.list({ prefix })).objects.map((object) => object.key);
}

const ODD_NAMES = [
  'plain.png',
  'a b.png',
  'a+b%.png',
  'a&b?c#d;e=f@g:h.png',
  `"q'<x>.png`,
  'tab\tand\u0001control',
  '/double//slash',
  './dot',
  '../dotdot',
  'dir/',
  'emoji-😀',
  'wide-～',
  'e\u0301-nfd',
  '\u00e9-nfc',
  'Case.png',
  'case.png',
  '~after',
  '日本語.png',
  'a%20b.png',
  'back\\slash',
  "o'brien",
  'k'.repeat(1000),
];

describe('keys of every kind', () => {
  test.each(['listing', 'rows'] as const)('by %s: moved, verified, undone', async (by) => {
    await start();
    for (const name of ODD_NAMES) await put(legacy, `image/${name}`, `content of ${name}`);
    await put(legacy, 'image/empty', '');
    const names = [...ODD_NAMES, 'empty'];
    await insert(
      ...names.map((name) => `image/${name}`),
      'avatar/modern.png',
      'https://other.example/image/plain.png',
    );
    await put(production, 'avatar/modern.png');

    const summary = await run({ by });
    expect(summary.failures).toBe(0);
    expect(summary.total.objects.copied).toBe(names.length);
    expect(summary.total.rows.rewritten).toBe(names.length);
    expect(summary.total.deletes.deleted).toBe(names.length);
    expect(await paths()).toEqual([
      ...names.map((name) => `avatar/${name}`),
      'avatar/modern.png',
      'https://other.example/image/plain.png',
    ]);
    expect(await keysOf(legacy, 'image/')).toEqual([]);
    for (const name of ODD_NAMES) {
      expect(await read(production, `avatar/${name}`)).toBe(`content of ${name}`);
      const head = await production.head(`avatar/${name}`);
      expect(head?.attributes).toMatchObject({
        contentType: 'image/png',
        cacheControl: 'max-age=1',
        contentDisposition: 'inline',
        contentLanguage: 'en',
        metadata: { user: '7' },
      });
      expect(await production.tags(`avatar/${name}`)).toEqual([{ key: 'kind', value: 'avatar' }]);
    }
    const options = { from: FROM, to: TO, rows: `${database.url}#avatars.path` };
    const verified = await verifyMove(options, { env: environment(), stateFolder: folder });
    expect(verified.violations).toEqual([]);
    expect(verified.deletionsChecked).toBe(names.length);

    const undone = await undoMove({ env: environment(), stateFolder: folder, rows: [options.rows] });
    expect(undone.failures).toBe(0);
    expect((await paths()).slice(0, names.length)).toEqual(names.map((name) => `image/${name}`));
    for (const name of ODD_NAMES) expect(await read(legacy, `image/${name}`)).toBe(`content of ${name}`);
    expect(await keysOf(production, 'avatar/')).toEqual(
      by === 'listing' ? ['avatar/modern.png'] : expect.anything(),
    );
    expect(await keysOf(legacy, '.longshore')).toEqual([]);
  });
});

describe('rows', () => {
  test('several rows on one object, several columns, documents, arrays, prose, no key, no index', async () => {
    await start();
    for (const name of ['a.png', 'b.png', 'c d.png']) await put(legacy, `image/${name}`);
    await insert('image/a.png', 'image/a.png', '/image/b.png');
    await database.sql(`
      CREATE TABLE posts (id int PRIMARY KEY, body text, meta jsonb, pics text[]);
      INSERT INTO posts VALUES
        (1, 'see <img src="https://cdn.example/image/c%20d.png">', '{"pic": "image/a.png", "n": 1.50}', '{image/a.png,"image/c d.png"}'),
        (2, 'nothing', '{}', '{}'), (3, NULL, NULL, NULL);
      CREATE TABLE nokey (path text); INSERT INTO nokey VALUES ('image/b.png'), ('image/b.png');`);
    const rows = [`${database.url}#avatars.path,posts.body:text,posts.meta,posts.pics,nokey.path`];
    const summary = await run({ rows, urls: [{ from: 'https://cdn.example/', to: 'https://new.example/' }] });
    expect(summary.failures).toBe(0);
    expect(await paths()).toEqual(['avatar/a.png', 'avatar/a.png', '/avatar/b.png']);
    expect((await paths('posts', 'body'))[0]).toBe('see <img src="https://new.example/avatar/c%20d.png">');
    expect((await paths('posts', 'meta'))[0]).toBe('{"n": 1.50, "pic": "avatar/a.png"}');
    expect((await paths('posts', 'pics'))[0]).toBe('{avatar/a.png,"avatar/c d.png"}');
    expect(await database.sql('SELECT DISTINCT path FROM nokey')).toEqual([{ path: 'avatar/b.png' }]);
    expect(await keysOf(legacy, 'image/')).toEqual([]);
  });

  test('percent-encoded keys are followed to the object that exists', async () => {
    await start();
    await put(legacy, 'image/a b.png');
    await put(legacy, 'image/c%20d.png');
    await insert('image/a%20b.png', 'image/c%20d.png');
    await run();
    expect(await paths()).toEqual(['avatar/a%20b.png', 'avatar/c%20d.png']);
    expect(await keysOf(production, 'avatar/')).toEqual(['avatar/a b.png', 'avatar/c%20d.png']);
  });

  test.each(['listing', 'rows'] as const)(
    'by %s: a row whose object is missing is reported and left alone; orphans stay',
    async (by) => {
      await start();
      await put(legacy, 'image/there.png');
      await put(legacy, 'image/orphan.png');
      await insert('image/there.png', 'image/gone.png');
      const summary = await run({ by });
      expect(summary.left.rows.missing).toBe(1);
      expect(summary.left.objects.orphan).toBe(1);
      expect(await paths()).toEqual(['avatar/there.png', 'image/gone.png']);
      expect(await keysOf(legacy, 'image/')).toEqual(['image/orphan.png']);
    },
  );

  test('orphans are moved when asked to', async () => {
    await start();
    await put(legacy, 'image/orphan.png');
    const summary = await run({ orphans: 'move', orphanGrace: 0 });
    expect(summary.total.objects.copied).toBe(1);
    expect(await keysOf(legacy, 'image/')).toEqual([]);
  });

  test('a whole bucket as the source: URLs are not taken for keys', async () => {
    await start();
    for (const name of ['a.png', 'b.png', 'c.png']) await put(legacy, name);
    await insert('a.png', '/c.png', 'https://other.example/b.png', '');
    await database.sql(`INSERT INTO avatars (path) VALUES (${quoted(`${s3.url}/legacy-s3/b.png`)})`);
    const summary = await run({ from: 's3://legacy-s3', orphans: 'move', orphanGrace: 0 });
    expect(summary.failures).toBe(0);
    expect(await paths()).toEqual([
      'avatar/a.png',
      '/avatar/c.png',
      'https://other.example/b.png',
      '',
      `${s3.url}/production-s3/avatar/b.png`,
    ]);
    expect(await keysOf(legacy, '')).toEqual([]);
    expect(await keysOf(production, 'avatar/')).toEqual(['avatar/a.png', 'avatar/b.png', 'avatar/c.png']);
  });

  test('an object that a presigned URL names is not deleted', async () => {
    await start();
    await put(legacy, 'image/a.png');
    await insert('image/a.png', 's3://x/');
    const url = `${s3.url}/legacy-s3/image/a.png?X-Amz-Signature=abc`;
    await database.sql(`UPDATE avatars SET path = ${quoted(url)} WHERE id = 2`);
    const summary = await run();
    expect(await paths()).toEqual(['avatar/a.png', url]);
    expect(await keysOf(legacy, 'image/')).toEqual(['image/a.png']);
    expect(summary.total.deletes.named).toBeGreaterThan(0);
  });

  test('a row that a constraint refuses does not keep the others from moving', async () => {
    await start();
    for (const n of [1, 2, 3, 4]) await put(legacy, `image/${n}.png`);
    await insert('image/1.png', 'image/2.png', 'image/3.png', 'image/4.png');
    await database.sql("ALTER TABLE avatars ADD CHECK (path <> 'avatar/3.png')");
    const summary = await run();
    expect(await paths()).toEqual(['avatar/1.png', 'avatar/2.png', 'image/3.png', 'avatar/4.png']);
    expect(summary.failures).toBeGreaterThan(0);
    expect(await keysOf(legacy, 'image/')).toEqual(['image/3.png']);
  });
});

describe('before anything is written', () => {
  test('a target that holds other content stops the move', async () => {
    await start();
    await put(legacy, 'image/a.png', 'mine');
    await put(production, 'avatar/a.png', 'theirs');
    await insert('image/a.png');
    await expect(run()).rejects.toMatchObject({ code: 'TARGET_COLLISION' });
    expect(await paths()).toEqual(['image/a.png']);
    expect(await read(production, 'avatar/a.png')).toBe('theirs');
  });

  test('skipped collisions are left alone and listed', async () => {
    await start();
    await put(legacy, 'image/a.png', 'mine');
    await put(production, 'avatar/a.png', 'theirs');
    await put(legacy, 'image/b.png');
    await insert('image/a.png', 'image/b.png');
    const summary = await run({ collisions: 'skip' });
    expect(summary.left.objects.collision).toBeGreaterThan(0);
    expect(await paths()).toEqual(['image/a.png', 'avatar/b.png']);
    expect(await read(legacy, 'image/a.png')).toBe('mine');
    expect(await read(production, 'avatar/a.png')).toBe('theirs');
  });

  test('two sources with one target stop the move', async () => {
    await start();
    await put(legacy, 'image/1/a.png');
    await put(legacy, 'image/2/a.png', 'other');
    await insert('image/1/a.png', 'image/2/a.png');
    await expect(
      run({ rules: [{ pattern: 'image/\\d+/(.*)', replacement: 'avatar/$1' }] }),
    ).rejects.toMatchObject({ code: 'TARGET_COLLISION' });
    expect(await keysOf(production, 'avatar/')).toEqual([]);
  });

  test('one bucket under two names is recognised', async () => {
    await start({ aliases: { 'alias-s3': 'legacy-s3' } });
    await put(legacy, 'image/a.png');
    await expect(run({ to: 's3://alias-s3/image/' })).rejects.toMatchObject({ code: 'LOCATIONS_OVERLAP' });
    expect(await keysOf(legacy, 'image/')).toEqual(['image/a.png']);
    const summary = await run({ to: 's3://alias-s3/avatar/', rows: [] });
    expect(summary.failures).toBe(0);
    expect(await keysOf(legacy, '')).toEqual(['avatar/a.png']);
  });

  test.each([
    ['overlapping prefixes', { to: 's3://legacy-s3/image/new/' }, 'LOCATIONS_OVERLAP'],
    ['unknown bucket', { to: 's3://nowhere/avatar/' }, 'BUCKET_NOT_FOUND'],
    ['malformed URL', { from: 'https://legacy/' }, 'URL_INVALID'],
    ['wrong setting', { delete: 'soon' }, 'CONFIG_INVALID'],
    ['bad pattern', { rules: [{ pattern: '(', replacement: 'x' }] }, 'CONFIG_INVALID'],
  ])('%s', async (_, options, code) => {
    await start();
    await put(legacy, 'image/a.png');
    await expect(run(options)).rejects.toMatchObject({ code });
    expect(await keysOf(legacy, '')).toEqual(['image/a.png']);
    expect(await keysOf(production, '')).toEqual([]);
  });

  test.each([
    ['#nothing.path', 'TABLE_NOT_FOUND'],
    ['#avatars.nothing', 'COLUMN_NOT_FOUND'],
  ])('rows %s', async (fragment, code) => {
    await start();
    await expect(run({ rows: database.url + fragment })).rejects.toMatchObject({ code });
  });
});

describe('stores that can less', () => {
  test.each([
    [
      'no condition at all',
      {
        conditionalCopy: false,
        conditionalCopySource: false,
        conditionalDelete: false,
        conditionalPut: false,
      },
    ],
    ['conditional deletes one by one', { conditionalDelete: 'single' as const }],
    ['no server-side copy', { serverSideCopy: false }],
    ['no part copy, no checksums', { partCopy: false, checksums: false }],
    ['no url encoding of listings', { urlEncoding: false }],
    ['no tags', { tags: false }],
  ] as [string, NonNullable<S3ServerOptions['support']>][])('%s', async (_, support) => {
    await start({ support });
    for (const n of [1, 2, 3]) {
      await put(legacy, `image/${n} +.png`, `content ${n}`, support.tags === false ? { tags: [] } : {});
    }
    await insert('image/1 +.png', 'image/2 +.png', 'image/3 +.png');
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(await paths()).toEqual(['avatar/1 +.png', 'avatar/2 +.png', 'avatar/3 +.png']);
    expect(await read(production, 'avatar/2 +.png')).toBe('content 2');
    expect(await keysOf(legacy, '')).toEqual([]);
  });

  test('ETags that mean nothing: proven by checksum or by reading', async () => {
    await start({ etag: 'random' });
    await put(legacy, 'image/a.png');
    await insert('image/a.png');
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(summary.total.proofs.etag).toBe(0);
    expect(summary.total.proofs.checksum + summary.total.proofs.bytes).toBe(1);
  });

  test('encryption with keys: proven otherwise than by ETag', async () => {
    await start({ kms: true });
    await put(legacy, 'image/a.png');
    await insert('image/a.png');
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(summary.total.proofs.etag).toBe(0);
  });

  test('a versioned bucket: deletion leaves a marker, undo brings the object back', async () => {
    await start({ versioning: true });
    await put(legacy, 'image/a.png', 'one');
    await insert('image/a.png');
    await run();
    expect(await keysOf(legacy, '')).toEqual([]);
    await undoMove({
      env: environment(),
      stateFolder: folder,
      rows: [`${database.url}#avatars.path`],
      delete: 'proven',
    });
    expect(await read(legacy, 'image/a.png')).toBe('one');
    expect(await paths()).toEqual(['image/a.png']);
  });
});

describe('large objects', () => {
  const BIG = 'x'.repeat(300_000);
  test.each([
    ['above the limit of CopyObject, in parts', {}, 'parts'],
    ['streamed, in parts', { copyWith: 'stream' }, 'stream'],
  ] as const)('%s', async (_, options, how) => {
    await start({ maxCopyBytes: 100_000, minPartBytes: 1000 });
    await put(legacy, 'image/big.png', BIG);
    await insert('image/big.png');
    const limits = { copyBytesMax: 100_000, putBytesMax: 100_000, partBytes: 64_000 };
    const summary = await run(options, { limits });
    expect(summary.failures).toBe(0);
    expect(summary.total.how[how]).toBe(1);
    expect(await read(production, 'avatar/big.png')).toBe(BIG);
    const head = await production.head('avatar/big.png');
    expect(head?.attributes).toMatchObject({ contentType: 'image/png', metadata: { user: '7' } });
    expect(await production.tags('avatar/big.png')).toEqual([{ key: 'kind', value: 'avatar' }]);
  });

  test('a multipart object keeps its ETag, so that it is proven without being read', async () => {
    await start({ minPartBytes: 1000 });
    const env = environment();
    await using parts = await openStore(parseStoreUrl(FROM), {
      env,
      clock: systemClock,
      limits: { putBytesMax: 1000, partBytes: 50_000 },
    });
    await put(parts.store, 'image/multi.png', BIG);
    await insert('image/multi.png');
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(summary.total.proofs.etag).toBe(1);
    expect(summary.total.how.parts).toBe(1);
  });
});

describe('faults of the store', () => {
  const FAULTS: [string, Fault][] = [
    ['500', { kind: 'status', status: 500, code: 'InternalError' }],
    ['503 SlowDown', { kind: 'status', status: 503, code: 'SlowDown' }],
    ['an error in a 200', { kind: 'error-in-200', code: 'InternalError' }],
    ['SlowDown in a 200', { kind: 'error-in-200', code: 'SlowDown' }],
    ['a truncated 200', { kind: 'truncated-200' }],
    ['a 200 that ends early', { kind: 'truncated-200', end: 'early' }],
    ['an empty 200', { kind: 'empty-200', work: true }],
    ['a reset before the work', { kind: 'reset-before' }],
    ['a reset after the work', { kind: 'reset-after' }],
    ['a stall', { kind: 'stall', ms: 3000 }],
  ];
  test.each(FAULTS)('%s', async (_, fault) => {
    await start();
    for (let n = 0; n < 60; n++) await put(legacy, `image/${n}.png`, `content ${n}`);
    await insert(...Array.from({ length: 60 }, (_, n) => `image/${n}.png`));
    s3.faults.seed(7);
    for (const operation of ['CopyObject', 'ListObjectsV2', 'DeleteObjects', 'HeadObject']) {
      s3.faults.add({ match: { operation }, fault, probability: 0.2, times: 20 });
    }
    const summary = await run({}, { storeTimeoutMs: 1000 });
    s3.faults.clear();
    expect(summary.failures).toBe(0);
    expect(await paths()).toEqual(Array.from({ length: 60 }, (_, n) => `avatar/${n}.png`));
    for (let n = 0; n < 60; n++) expect(await read(production, `avatar/${n}.png`)).toBe(`content ${n}`);
    expect(await keysOf(legacy, 'image/')).toEqual([]);
  });

  test('expired credentials end the run; the same call goes on', async () => {
    await start();
    for (let n = 0; n < 20; n++) await put(legacy, `image/${n}.png`);
    await insert(...Array.from({ length: 20 }, (_, n) => `image/${n}.png`));
    s3.faults.add({
      match: { operation: 'CopyObject', keyPattern: 'avatar/1' },
      fault: { kind: 'expired-token' },
    });
    await expect(run()).rejects.toMatchObject({ code: 'STORE_CREDENTIALS' });
    s3.faults.clear();
    const resumed: boolean[] = [];
    const summary = await run(
      {},
      { emit: (event) => event.type === 'run-started' && resumed.push(event.resumed) },
    );
    expect(resumed).toEqual([true]);
    expect(summary.failures).toBe(0);
    expect(await keysOf(legacy, 'image/')).toEqual([]);
  });
});

describe('faults of the database', () => {
  test('restarted and cut off in the middle', async () => {
    await start();
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    for (const n of numbers) await put(legacy, `image/${n}.png`);
    await insert(...numbers.map((n) => `image/${n}.png`));
    const cuts: (() => Promise<unknown> | undefined)[] = [
      () => postgres.restart?.(),
      () =>
        database.sql(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'longshore'",
        ),
    ];
    let cutting: Promise<unknown> = Promise.resolve();
    const summary = await run(
      {},
      {
        emit: (event) => {
          if (event.type === 'stage-started')
            cutting = cutting.then(async () => void (await cuts.shift()?.()));
        },
      },
    );
    await cutting;
    expect(summary.failures).toBe(0);
    expect(await paths()).toEqual(numbers.map((n) => `avatar/${n}.png`));
    expect(await keysOf(legacy, 'image/')).toEqual([]);
  });

  test('a lock that the application holds is waited for', async () => {
    await start();
    for (const n of [1, 2, 3]) await put(legacy, `image/${n}.png`);
    await insert('image/1.png', 'image/2.png', 'image/3.png');
    await using session = await database.session();
    await session.sql("BEGIN; UPDATE avatars SET path = 'avatar/taken.png' WHERE id = 2");
    await put(production, 'avatar/taken.png');
    const moving = run();
    const blocked = async (): Promise<boolean> =>
      (await database.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).length > 0;
    while (!(await blocked())) await new Promise((resolve) => setImmediate(resolve));
    await session.sql('COMMIT');
    const summary = await moving;
    expect(summary.failures).toBe(0);
    expect(await paths()).toEqual(['avatar/1.png', 'avatar/taken.png', 'avatar/3.png']);
  });
});

describe('two at once', () => {
  test('a second process on the same run is refused', async () => {
    await start();
    await put(legacy, 'image/a.png');
    await insert('image/a.png');
    const aborter = new AbortController();
    const waiting = Promise.withResolvers<void>();
    const first = run(
      { delete: '1h' },
      { signal: aborter.signal, emit: (event) => event.type === 'waiting' && waiting.resolve() },
    );
    first.catch(() => undefined);
    await waiting.promise;
    await expect(run({ delete: '1h' })).rejects.toMatchObject({ code: 'RUN_LOCKED' });
    aborter.abort(new Error('enough'));
    await expect(first).rejects.toThrow('enough');
    expect(await paths()).toEqual(['avatar/a.png']);
    expect(await keysOf(legacy, 'image/')).toEqual(['image/a.png']);
  });

  test('the grace period is kept and ends over a restart', async () => {
    await start();
    await put(legacy, 'image/a.png');
    await insert('image/a.png');
    const aborter = new AbortController();
    const first = run(
      { delete: '1s' },
      {
        signal: aborter.signal,
        emit: (event) => event.type === 'waiting' && aborter.abort(new Error('enough')),
      },
    );
    await expect(first).rejects.toThrow('enough');
    expect(await keysOf(legacy, 'image/')).toEqual(['image/a.png']);
    await run({ delete: '1s' });
    expect(await keysOf(legacy, 'image/')).toEqual([]);
  });

  test('an object overwritten after its copy is brought up to date and not lost', async () => {
    await start();
    await put(legacy, 'image/a.png', 'first');
    await insert('image/a.png');
    const summary = await run(
      { delete: '300ms' },
      {
        emit: (event) => {
          // While the grace period runs, a writer that resolved the row before overwrites the old object.
          if (event.type === 'waiting') void put(legacy, 'image/a.png', 'second');
        },
      },
    );
    expect(summary.failures).toBe(0);
    expect(await read(production, 'avatar/a.png')).toBe('second');
  });
});

test('markers of a process that was killed are removed by a later one', async () => {
  let skewMs = -11 * 60_000;
  await start({ now: () => Date.now() + skewMs });
  await put(legacy, 'image/.longshore-probe-0000/plain');
  skewMs = 0;
  await put(legacy, 'image/.longshore-probe-1111/plain');
  await put(legacy, 'image/a.png');
  await insert('image/a.png');
  expect((await run()).failures).toBe(0);
  expect(await keysOf(legacy, '')).toEqual(['image/.longshore-probe-1111/plain']);
});

test('the least rights of an IAM policy are enough, and markers are not left behind', async () => {
  await start({
    policies: [
      {
        accessKeyId: 'least',
        secretAccessKey: 'least-secret',
        allow: [
          { action: 's3:ListBucket', resource: 'legacy-s3' },
          { action: 's3:ListBucket', resource: 'production-s3' },
          { action: 's3:GetObject', resource: 'legacy-s3/image/*' },
          { action: 's3:GetObjectTagging', resource: 'legacy-s3/image/*' },
          { action: 's3:DeleteObject', resource: 'legacy-s3/image/*' },
          { action: 's3:GetObject', resource: 'production-s3/avatar/*' },
          { action: 's3:PutObject', resource: 'production-s3/avatar/*' },
          { action: 's3:PutObjectTagging', resource: 'production-s3/avatar/*' },
        ],
      },
    ],
  });
  for (let n = 0; n < 5; n++) await put(legacy, `image/${n}.png`);
  await insert(...Array.from({ length: 5 }, (_, n) => `image/${n}.png`));
  const role = `least_${database.name}`;
  await database.sql(`
    CREATE ROLE ${role} LOGIN PASSWORD 'pw';
    GRANT SELECT (id, path), UPDATE (path) ON avatars TO ${role};`);
  try {
    const url = new URL(database.url);
    url.username = role;
    url.password = 'pw';
    const notices: string[] = [];
    const summary = await move(
      { from: FROM, to: TO, rows: `${url.href}#avatars.path`, delete: 'proven' },
      {
        env: { ...environment(), AWS_ACCESS_KEY_ID: 'least', AWS_SECRET_ACCESS_KEY: 'least-secret' },
        stateFolder: folder,
        emit: (event) => event.type === 'notice' && notices.push(event.text),
      },
    );
    expect(summary.failures).toBe(0);
    expect(await keysOf(legacy, '')).toEqual([]);
    expect(await keysOf(production, '')).toHaveLength(5);
    expect(notices.join()).toContain('not probed');
  } finally {
    await database.sql(`DROP OWNED BY ${role}; DROP ROLE ${role};`);
  }
});
