/** Moves by an inventory, on the embedded S3 server: candidates, not truth. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseStoreUrl } from '../../config/store-url.ts';
import { type S3Server, startS3Server } from '../../embedded/s3/server.ts';
import { listRuns } from '../../engine/run-folder.ts';
import { systemClock } from '../../flow/clock.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import { DEFAULT_RETRY } from '../../flow/retry.ts';
import { compareKeys } from '../../stores/key-order.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { openStore } from '../../stores/open-store.ts';
import type { MoveEvent } from './events.ts';
import { checkInventory } from './inventory.ts';
import { InventorySpool } from './inventory-spool.ts';
import { move } from './run.ts';
import { type MoveOptions, resolveMoveOptions } from './settings.ts';
import type { MoveSummary } from './summary.ts';

const PARQUET = new URL('../../../test/fixtures/inventory/inventory.parquet', import.meta.url).pathname;
/** What the Parquet fixture lists under `image/` as current. */
const KEYS = [
  'image/plain.png',
  'image/with space.png',
  'image/a+b.png',
  'image/100%25.png',
  'image/50%.png',
  'image/été.png',
  'image/日本.png',
  'image/🚢.png',
  'image/comma,comma.png',
  'image/"quoted".png',
  'image/line\nbreak.png',
  "image/(paren)'s.png",
];
const MANIFEST = 'inv/legacy-s3/all/2026-01-01T01-00Z/manifest.json';
const SCHEMA = 'Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size';

let folder: string;
let cleanup: AsyncDisposableStack;
let s3: S3Server;
let legacy: ObjectStore;
let production: ObjectStore;
let inventories: ObjectStore;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-inventory-'));
  cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  s3 = cleanup.use(await startS3Server({ buckets: ['legacy-s3', 'production-s3', 'inventories'] }));
  legacy = await open('s3://legacy-s3/');
  production = await open('s3://production-s3/');
  inventories = await open('s3://inventories/');
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

async function open(url: string): Promise<ObjectStore> {
  return cleanup.use(await openStore(parseStoreUrl(url), { env: environment(), clock: systemClock })).store;
}

async function put(store: ObjectStore, key: string, body: Uint8Array = Buffer.from(key)): Promise<void> {
  const attributes = { contentType: 'image/png', metadata: {} };
  await store.put({ key, body, sizeBytes: body.byteLength, attributes, ifAbsent: false });
}

async function keysOf(store: ObjectStore, prefix = ''): Promise<string[]> {
  return (await store.list({ prefix })).objects.map(({ key }) => key);
}

/** Puts files and their manifest where S3 Inventory would. @returns the manifest's URL */
async function publish(
  files: Readonly<Record<string, Uint8Array>>,
  more: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const listed: object[] = [];
  for (const [name, bytes] of Object.entries(files)) {
    const key = `inv/legacy-s3/all/data/${name}`;
    await put(inventories, key, bytes);
    listed.push({ key, size: bytes.byteLength, MD5checksum: createHash('md5').update(bytes).digest('hex') });
  }
  const manifest = {
    sourceBucket: 'legacy-s3',
    destinationBucket: 'arn:aws:s3:::inventories',
    version: '2016-11-30',
    creationTimestamp: '1514944800000',
    fileFormat: 'CSV',
    fileSchema: SCHEMA,
    files: listed,
    ...more,
  };
  await put(inventories, MANIFEST, Buffer.from(JSON.stringify(manifest)));
  return `s3://inventories/${MANIFEST}`;
}

/** As S3 writes it. */
function csv(keys: readonly string[]): Uint8Array {
  const line = (key: string): string =>
    `"legacy-s3","${encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('%20', '+')}","","true","false","${key.length}"\n`;
  return gzipSync(keys.map(line).join(''));
}

function run(
  inventory: string,
  options: Partial<MoveOptions> = {},
  more: { failpoint?: Failpoint; emit?: (event: MoveEvent) => void } = {},
): Promise<MoveSummary> {
  return move(
    {
      from: 's3://legacy-s3/image/',
      to: 's3://production-s3/avatar/',
      delete: 'proven',
      inventory,
      ...options,
    },
    { env: environment(), stateFolder: join(folder, 'state'), ...more },
  );
}

function moved(keys: readonly string[]): string[] {
  return keys.map((key) => key.replace('image/', 'avatar/')).sort(compareKeys);
}

describe('a move by inventory', () => {
  test('CSV, keys of every kind, in several files', async () => {
    for (const key of KEYS) await put(legacy, key);
    const summary = await run(
      await publish({ '1.csv.gz': csv(KEYS.slice(0, 5)), '2.csv.gz': csv(KEYS.slice(5)) }),
    );
    expect(summary.failures).toBe(0);
    expect(summary.total.objects.copied).toBe(KEYS.length);
    expect(await keysOf(production)).toEqual(moved(KEYS));
    expect(await keysOf(legacy)).toEqual([]);
  });

  test('Parquet, keys of every kind', async () => {
    for (const key of KEYS) await put(legacy, key);
    await put(legacy, 'other/outside.png');
    const url = await publish(
      { '1.parquet': readFileSync(PARQUET) },
      { fileFormat: 'Parquet', fileSchema: 'message' },
    );
    const shards: number[] = [];
    const summary = await run(
      url,
      {},
      {
        emit: (event) => {
          if (event.type === 'stage-started' && event.stage === 'copy') shards.push(event.objects ?? 0);
        },
      },
    );
    expect(summary.failures).toBe(0);
    // The first pass knows them from the inventory; the second lists and has nothing left to copy.
    expect(shards).toEqual([KEYS.length, 0]);
    expect(await keysOf(production)).toEqual(moved(KEYS));
    expect(await keysOf(legacy)).toEqual(['other/outside.png']);
  });

  test('what is gone is skipped, what is new is found by the next pass', async () => {
    await put(legacy, 'image/there.png');
    await put(legacy, 'image/new.png');
    const summary = await run(await publish({ '1.csv.gz': csv(['image/gone.png', 'image/there.png']) }));
    expect(summary.failures).toBe(0);
    expect(summary.total.objects).toMatchObject({ copied: 2, missing: 0, failed: 0 });
    expect(summary.passes).toBeGreaterThan(1);
    expect(await keysOf(production)).toEqual(['avatar/new.png', 'avatar/there.png']);
  });

  test('an empty inventory does not hide what is there', async () => {
    await put(legacy, 'image/there.png');
    expect((await run(await publish({}))).total.objects.copied).toBe(1);
  });

  test('more keys than a shard takes, each once, in any order', async () => {
    const keys = Array.from({ length: 2500 }, (_, i) => `image/${(i * 7919) % 2500}.png`);
    for (let at = 0; at < keys.length; at += 250) {
      await Promise.all(keys.slice(at, at + 250).map((key) => put(legacy, key)));
    }
    const url = await publish({ '1.csv.gz': csv(keys), '2.csv.gz': csv(keys.slice(0, 100)) });
    let shards = 0;
    const summary = await run(
      url,
      { delete: 'never' },
      {
        emit: (event) => {
          if (event.type === 'stage-started' && event.pass === 1) shards = event.shards;
        },
      },
    );
    expect(shards).toBe(3);
    expect(summary.total.objects.copied).toBe(2500);
  });

  test('what is on the target already is known; what differs stops the move before anything is written', async () => {
    for (const key of ['image/a.png', 'image/b.png']) await put(legacy, key);
    await put(production, 'avatar/a.png', Buffer.from('image/a.png'));
    const url = await publish({ '1.csv.gz': csv(['image/a.png', 'image/b.png', 'image/gone.png']) });
    await put(production, 'avatar/gone.png');
    await put(production, 'avatar/b.png', Buffer.from('of someone else'));
    await expect(run(url)).rejects.toMatchObject({ code: 'TARGET_COLLISION' });
    expect(await keysOf(legacy)).toEqual(['image/a.png', 'image/b.png']);
    const summary = await run(url, { collisions: 'skip' });
    expect(summary.total.objects.already).toBeGreaterThan(0);
    expect(await keysOf(legacy)).toEqual(['image/b.png']);
  });

  test('two sources with one target are found', async () => {
    for (const key of ['image/1/a.png', 'image/2/a.png']) await put(legacy, key);
    const rules = [{ pattern: 'image/./(.*)', replacement: 'avatar/$1' }];
    const url = await publish({ '1.csv.gz': csv(['image/1/a.png', 'image/2/a.png']) });
    await expect(run(url, { rules })).rejects.toMatchObject({
      code: 'TARGET_COLLISION',
      message: expect.stringMatching(/both become/),
    });
  });

  test('killed while it is laid out, it goes on', async () => {
    for (const key of KEYS) await put(legacy, key);
    const url = await publish({ '1.csv.gz': csv(KEYS) });
    const killed = run(
      url,
      {},
      {
        failpoint: (name) => {
          if (name === 'laying-out') throw new Error('killed');
        },
      },
    );
    await expect(killed).rejects.toThrow('killed');
    expect((await run(url)).total.objects.copied).toBe(KEYS.length);
    expect(listRuns(join(folder, 'state'))).toHaveLength(1);
  });
});

describe('lists of keys', () => {
  test.each([
    ['keys.csv', Buffer.from('key\nimage/a+b.png\n"image/c,d.png"\n')],
    ['keys.csv.gz', gzipSync('image/a+b.png\n"image/c,d.png"\n')],
    ['batch.csv', Buffer.from('legacy-s3,image/a%2Bb.png\nlegacy-s3,image/c%2Cd.png\n')],
  ])('%s in a folder', async (name, content) => {
    for (const key of ['image/a+b.png', 'image/c,d.png']) await put(legacy, key);
    writeFileSync(join(folder, name), content);
    const summary = await run(pathToFileURL(join(folder, name)).href);
    expect(summary.total.objects.copied).toBe(2);
    expect(summary.failures).toBe(0);
  });

  test('a manifest and its files that were copied into a folder', async () => {
    for (const key of KEYS) await put(legacy, key);
    const bytes = csv(KEYS);
    const md5 = createHash('md5').update(bytes).digest('hex');
    const files = [{ key: 'inv/data/1.csv.gz', size: bytes.byteLength, MD5checksum: md5 }];
    const manifest = { sourceBucket: 'legacy-s3', fileFormat: 'CSV', fileSchema: SCHEMA, files };
    const here = join(folder, 'copied');
    mkdirSync(here);
    writeFileSync(join(here, 'manifest.json'), JSON.stringify(manifest));
    writeFileSync(join(here, '1.csv.gz'), bytes);
    expect((await run(pathToFileURL(join(here, 'manifest.json')).href)).total.objects.copied).toBe(
      KEYS.length,
    );
  });
});

describe('bad input', () => {
  test.each([
    [
      'no such manifest',
      's3://inventories/none/manifest.json',
      'CONFIG_INVALID',
      /none\/manifest\.json does not exist/,
    ],
    ['neither manifest nor list', 's3://inventories/x.orc', 'CONFIG_INVALID', /x\.orc/],
    ['no such bucket', 's3://nowhere/manifest.json', 'BUCKET_NOT_FOUND', /nowhere/],
  ])('%s', async (_, url, code, message) => {
    await expect(run(url)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('an inventory of another bucket', async () => {
    const url = await publish({}, { sourceBucket: 'other-s3' });
    await expect(run(url)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/other-s3/),
    });
  });

  test('a file that is gone', async () => {
    const files = [{ key: 'inv/data/1.csv.gz', size: 1, MD5checksum: '0'.repeat(32) }];
    const url = await publish({}, { files });
    await expect(run(url)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/1\.csv\.gz/),
    });
  });

  test('a file that changed', async () => {
    const url = await publish({ '1.csv.gz': csv(KEYS) });
    await put(inventories, 'inv/legacy-s3/all/data/1.csv.gz', csv(['image/other.png']));
    await expect(run(url)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/MD5/),
    });
    expect(await keysOf(production)).toEqual([]);
  });

  test('a file whose rows are those of another bucket', async () => {
    const url = await publish({ '1.csv.gz': gzipSync('"other-s3","image/a.png"\n') });
    await expect(run(url)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/names bucket "other-s3"/),
    });
  });

  test('the inventory of another bucket, copied into a folder', async () => {
    const manifest = { sourceBucket: 'other-s3', fileFormat: 'CSV', fileSchema: SCHEMA, files: [] };
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    await expect(run(pathToFileURL(join(folder, 'manifest.json')).href)).rejects.toMatchObject({
      message: expect.stringMatching(/is an inventory of bucket other-s3/),
    });
  });

  test.each([
    [{ by: 'inventory' as const, inventory: undefined }, /no inventory is named/],
    [{ by: 'listing' as const }, /by listing/],
  ])('%j', async (options, message) => {
    await expect(run('s3://inventories/manifest.json', options)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    });
  });
});

describe('a bad line', () => {
  const faults = ['cut', 'early'] as const;

  async function spoil(key: string, end: 'cut' | 'early', times: number): Promise<void> {
    s3.faults.add({
      match: { operation: 'GetObject', keyPattern: key },
      fault: { kind: 'truncated-200', end },
      times,
    });
  }

  test.each(['manifest\\.json', '1\\.csv\\.gz'].flatMap((key) => faults.map((end) => [key, end] as const)))(
    '%s is %s once, and read again',
    async (key, end) => {
      for (const one of KEYS) await put(legacy, one);
      const url = await publish({ '1.csv.gz': csv(KEYS) });
      await spoil(key, end, 1);
      const shards: number[] = [];
      const emit = (event: MoveEvent): void => {
        if (event.type === 'stage-started' && event.stage === 'copy') shards.push(event.objects ?? 0);
      };
      expect((await run(url, {}, { emit })).failures).toBe(0);
      // A plus sign is taken both ways, which makes one candidate more.
      expect(shards[0]).toBe(KEYS.length + 1);
    },
  );

  test.each(faults)('a list that is %s once is read again', async (end) => {
    for (const one of KEYS) await put(legacy, one);
    const text = `key\n${KEYS.filter((key) => !/["\n]/.test(key)).join('\n')}\n`.replaceAll('comma,', '');
    await put(inventories, 'keys.csv', Buffer.from(text));
    await spoil('keys\\.csv', end, 1);
    const shards: number[] = [];
    const emit = (event: MoveEvent): void => {
      if (event.type === 'stage-started' && event.stage === 'copy') shards.push(event.objects ?? 0);
    };
    await run('s3://inventories/keys.csv', {}, { emit });
    expect(shards[0]).toBe(KEYS.length - 2);
  });

  test('what always ends early ends the run', async () => {
    const url = await publish({ '1.csv.gz': csv(KEYS) });
    await spoil('manifest\\.json', 'early', 2);
    await expect(run(url)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/bytes, and \d+ were read/),
    });
  });
});

describe('checked beforehand', () => {
  async function check(inventory: string): Promise<void> {
    const settings = resolveMoveOptions({ from: 's3://legacy-s3/', to: 's3://production-s3/', inventory });
    const scope = {
      settings,
      source: legacy,
      inventory: await open(inventory),
      retry: DEFAULT_RETRY,
      clock: systemClock,
    };
    await checkInventory(scope, new AbortController().signal);
  }

  test('nothing but the manifest is read', async () => {
    const url = await publish({ '1.csv.gz': csv(KEYS) });
    const before = s3.requests['GetObject'] ?? 0;
    await check(url);
    expect((s3.requests['GetObject'] ?? 0) - before).toBe(1);
  });

  test.each([
    ['no such manifest', 's3://inventories/none/manifest.json', 'CONFIG_INVALID'],
    ['no such list', 's3://inventories/none.csv', 'CONFIG_INVALID'],
    ['neither manifest nor list', 's3://inventories/x.orc', 'CONFIG_INVALID'],
    ['no such bucket', 's3://nowhere/manifest.json', 'BUCKET_NOT_FOUND'],
  ])('%s', async (_, url, code) => {
    await expect(check(url)).rejects.toMatchObject({ code });
  });

  test('an inventory of another bucket', async () => {
    const url = await publish({}, { sourceBucket: 'other-s3' });
    await expect(check(url)).rejects.toMatchObject({ code: 'CHECK_FAILED' });
  });

  test('a move without one', async () => {
    const settings = resolveMoveOptions({ from: 's3://legacy-s3/', to: 's3://production-s3/' });
    const scope = { settings, source: legacy, retry: DEFAULT_RETRY, clock: systemClock };
    await checkInventory(scope, new AbortController().signal);
  });
});

test('the spool sorts by UTF-8 bytes, keeps each key once, and forgets another inventory', () => {
  const keys = ['b', '\uff5e', '🚢', 'a', 'é', 'a'];
  const entries = keys.map((key) => ({ key, sizeBytes: 1 }));
  {
    using spool = InventorySpool.fill(folder, 'one');
    spool.add(entries);
    spool.record('file');
  }
  {
    using again = InventorySpool.fill(folder, 'one');
    expect(again.isRecorded('file')).toBe(true);
    expect([...again.pages({}, 2)].map((page) => page.map(({ key }) => key))).toEqual([
      ['a', 'b'],
      ['é', '\uff5e'],
      ['🚢'],
    ]);
    expect([...again.pages({ after: 'a', upTo: 'é' })].flat().map(({ key }) => key)).toEqual(['b', 'é']);
  }
  using other = InventorySpool.fill(folder, 'two');
  expect([...other.pages()]).toEqual([]);
  expect(existsSync(join(folder, 'inventory.sqlite'))).toBe(true);
});
