/** Rows and jobs of S3 Batch Operations, rows and an inventory: real PostgreSQL, embedded S3, a stand-in for S3 Control. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { type S3Control, startS3Control } from '../../../test/servers/s3-control.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { type S3Server, startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { openStore } from '../../stores/open-store.ts';
import { move } from './run.ts';
import type { MoveOptions } from './settings.ts';
import type { MoveSummary } from './summary.ts';

let postgres: PostgresServer;
let database: PostgresTestDatabase;
let folder: string;
let cleanup: AsyncDisposableStack;
let s3: S3Server;
let legacy: ObjectStore;
let production: ObjectStore;
let control: S3Control;
let notices: string[];

beforeAll(async () => {
  postgres = await postgresServer();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-s3-batch-'));
  cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  s3 = cleanup.use(await startS3Server({ buckets: ['legacy-s3', 'production-s3'] }));
  [legacy, production] = [await open('s3://legacy-s3/'), await open('s3://production-s3/')];
  control = cleanup.use(
    await startS3Control({ stores: { 'legacy-s3': legacy, 'production-s3': production } }),
  );
  database = await postgres.createDatabase();
  await database.sql('CREATE TABLE avatars (id bigserial PRIMARY KEY, path text NOT NULL)');
  notices = [];
});
afterEach(() => cleanup.disposeAsync());

function environment(): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_S3: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
    ...(control === undefined ? {} : { AWS_ENDPOINT_URL_S3_CONTROL: control.url }),
  };
}

async function open(url: string): Promise<ObjectStore> {
  return cleanup.use(await openStore(parseStoreUrl(url), { env: environment(), clock: systemClock })).store;
}

async function put(store: ObjectStore, key: string, text = key): Promise<void> {
  const body = Buffer.from(text);
  await store.put({ key, body, sizeBytes: body.byteLength, attributes: { metadata: {} }, ifAbsent: false });
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  const { objects } = await store.list({ prefix: '' });
  return objects.map(({ key }) => key).filter((key) => !key.includes('.longshore-batch/'));
}

async function paths(): Promise<string[]> {
  return (await database.sql('SELECT path FROM avatars ORDER BY id')).map((row) => String(row['path']));
}

function run(options: Partial<MoveOptions>): Promise<MoveSummary> {
  return move(
    {
      from: 's3://legacy-s3/image/',
      to: 's3://production-s3/old/image/',
      rows: `${database.url}#avatars.path`,
      delete: 'proven',
      ...options,
    },
    {
      env: environment(),
      stateFolder: folder,
      clock: { ...systemClock, wait: async () => undefined },
      emit: (event) => {
        if (event.type === 'notice') notices.push(event.text);
      },
    },
  );
}

const BATCH = {
  copyWith: 's3-batch',
  batch: { accountId: '123456789012', roleArn: 'arn:aws:iam::123456789012:role/batch' },
} as const;

async function seed(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await put(legacy, `image/${i}.png`);
    await database.sql(`INSERT INTO avatars (path) VALUES ('image/${i}.png')`);
  }
}

test('a job copies, rows follow, the source is deleted; orphans are in no job', async () => {
  await database.sql('CREATE INDEX ON avatars (path)');
  await seed(5);
  await put(legacy, 'image/orphan.png');
  const summary = await run(BATCH);
  expect(summary.failures).toBe(0);
  expect(summary.total.objects).toMatchObject({ copied: 5 });
  expect(summary.total.how.server).toBe(5);
  expect(control.jobs.map(({ total }) => total)).toEqual([5]);
  expect(await paths()).toEqual(['0', '1', '2', '3', '4'].map((i) => `old/image/${i}.png`));
  expect(await keysOf(legacy)).toEqual(['image/orphan.png']);
  expect(await keysOf(production)).toEqual(['0', '1', '2', '3', '4'].map((i) => `old/image/${i}.png`));
});

test('where rows without an index drive the move there is no job, and it is said', async () => {
  await seed(3);
  const summary = await run(BATCH);
  expect(summary.failures).toBe(0);
  expect(control.jobs).toEqual([]);
  expect(notices.join('\n')).toMatch(/the rows say what is moved/);
  expect(await paths()).toEqual(['0', '1', '2'].map((i) => `old/image/${i}.png`));
});

test.each([true, false])('an inventory names candidates, rows follow (indexed: %s)', async (indexed) => {
  if (indexed) await database.sql('CREATE INDEX ON avatars (path)');
  await seed(4);

  await put(legacy, 'inventory/keys.csv', 'key\nimage/0.png\nimage/1.png\nimage/gone.png\n');
  const summary = await run({ inventory: 's3://legacy-s3/inventory/keys.csv' });
  expect(summary.failures).toBe(0);
  expect(await paths()).toEqual(['0', '1', '2', '3'].map((i) => `old/image/${i}.png`));
  expect(await keysOf(legacy)).toEqual(['inventory/keys.csv']);
});

test('an inventory, copied by a job', async () => {
  await database.sql('CREATE INDEX ON avatars (path)');
  await seed(4);
  await put(legacy, 'inventory/keys.csv', 'key\nimage/0.png\nimage/1.png\nimage/gone.png\n');
  const summary = await run({ ...BATCH, inventory: 's3://legacy-s3/inventory/keys.csv' });
  expect(summary.failures).toBe(0);
  expect(control.jobs.map(({ total }) => total)).toEqual([2]);
  expect(await paths()).toEqual(['0', '1', '2', '3'].map((i) => `old/image/${i}.png`));
});
