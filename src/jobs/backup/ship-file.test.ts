/** Files of a shared folder on their way into a bucket: each there once, whole, and deleted only then. */

import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../../test/servers/fault-proxy.ts';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { DEFAULT_RETRY } from '../../flow/retry.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { RetryingStore } from '../../stores/retrying-store.ts';
import { claimNumber } from './claim.ts';
import { DEFAULT_TEMPLATE, parseTemplate } from './dated-keys.ts';
import { decodeManifest } from './manifest.ts';
import { readCatalogue } from './repository.ts';
import { momentOf } from './run-moment.ts';
import { shipFile, takenFiles } from './ship-file.ts';
import type { WholeFile } from './waiting-file.ts';

let folder: string;
let path: string;
let store: ObjectStore;
let proxy: FaultProxy;
beforeEach(async () => {
  const stack = new AsyncDisposableStack();
  folder = mkdtempSync(join(tmpdir(), 'longshore-ship-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  path = join(folder, 'datadump.sql');
  const server = stack.use(await startS3Server({ buckets: ['backups'] }));
  proxy = stack.use(await startFaultProxy(server.url));
  store = new RetryingStore(
    stack.use(testStore({ ...server, url: proxy.url }, 'backups')),
    DEFAULT_RETRY,
    {},
  );
  return () => stack.disposeAsync();
});

const NEVER = new AbortController().signal;
const moment = momentOf(Date.UTC(2026, 10, 20, 12), 'UTC');

function written(content: string, at = path): WholeFile {
  writeFileSync(at, content);
  const { size, ino, mtimeMs } = statSync(at);
  return { path: at, bytes: size, ino, modifiedMs: mtimeMs };
}
const targetOf = (of: ObjectStore) => ({
  store: of,
  prefix: 'shop/',
  template: parseTemplate(DEFAULT_TEMPLATE),
  moment,
});
const ship = async (file: WholeFile, of = path) => {
  const shipped = await shipFile(file, of, targetOf(store), NEVER);
  if (shipped === undefined) throw new Error('somebody else took it');
  return shipped;
};
/** But for their manifests. */
const dumps = async () =>
  (await store.list({ prefix: '' })).objects
    .map(({ key }) => key)
    .filter((key) => !key.endsWith('.manifest.json'));
const manifestOf = async (base: string) => decodeManifest(await stored(`shop/${base}.manifest.json`), base);
const stored = async (key: string) => text((await store.get({ key }))!.body);

test('two dumps of one day, and nothing is left in the folder', async () => {
  expect(await ship(written('one'))).toMatchObject({ key: 'shop/2026-11-20/datadump1.sql', bytes: 3 });
  expect(await ship(written('two'))).toMatchObject({ key: 'shop/2026-11-20/datadump2.sql' });
  expect(await stored('shop/2026-11-20/datadump1.sql')).toBe('one');
  expect(readdirSync(folder)).toEqual([]);
});

test('a manifest beside it says what it is', async () => {
  const { sha256 } = await ship(written('one'));
  expect(await manifestOf('2026-11-20/datadump1')).toEqual({
    ...{ version: 1, takenAt: '2026-11-20T12:00:00.000Z', timeZone: 'UTC', key: '2026-11-20/datadump1.sql' },
    ...{ format: 'file', compression: 'none', encryption: 'none', durationMs: expect.any(Number) },
    files: [{ key: '2026-11-20/datadump1.sql', bytes: 3, sha256 }],
  });
  const { backups } = await readCatalogue({ store, prefix: 'shop/' });
  expect(backups).toMatchObject([{ manifestKey: '2026-11-20/datadump1.manifest.json', missing: [] }]);
});

test('a process that died before the manifest was there, or before the file was gone, is followed', async () => {
  proxy.add({
    operation: 'PutObject',
    path: /manifest/,
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  });
  await expect(ship(written('once'))).rejects.toThrow();
  expect(existsSync(path)).toBe(false);
  proxy.clear();
  for (let time = 0; time < 2; time++) {
    const [taken] = await takenFiles(path);
    const tomorrow = { ...targetOf(store), moment: momentOf(Date.UTC(2026, 10, 21), 'UTC') };
    expect(await shipFile(taken!, path, tomorrow, NEVER)).toMatchObject({
      key: 'shop/2026-11-20/datadump1.sql',
    });
    expect(readdirSync(folder)).toEqual([]);
    expect(await dumps()).toHaveLength(1);
    const { takenAt } = await manifestOf('2026-11-20/datadump1');
    expect(Date.parse(takenAt)).toBe((await store.head('shop/2026-11-20/datadump1.sql'))!.lastModifiedMs);
    writeFileSync(taken!.path, 'once');
  }
});

test('a number that a dump has claimed is not taken, nor one whose manifest came meanwhile', async () => {
  const { template } = targetOf(store);
  {
    await using claim = await claimNumber({ store, prefix: 'shop/' }, template, moment, NEVER);
    expect(claim.base).toBe('2026-11-20/datadump1');
    expect(await ship(written('one'))).toMatchObject({ key: 'shop/2026-11-20/datadump2.sql' });
  }
  const late = proxy.add({
    operation: 'PutObject',
    path: /datadump3/,
    fault: { kind: 'stall', ms: 200 },
    times: 1,
  });
  const shipping = ship(written('two'));
  await expect.poll(late).toBe(1);
  const body = Buffer.from('{}');
  const key = 'shop/2026-11-20/datadump3.manifest.json';
  await store.put({ key, body, sizeBytes: 2, attributes: { metadata: {} }, ifAbsent: true });
  expect(await shipping).toMatchObject({ key: 'shop/2026-11-20/datadump4.sql' });
  expect(await dumps()).toEqual(['shop/2026-11-20/datadump2.sql', 'shop/2026-11-20/datadump4.sql']);
  expect(await stored(key)).toBe('{}');
});

test('behind a thousand keys of the day', async () => {
  const put = (key: string) =>
    store.put({ key, body: Buffer.from('x'), sizeBytes: 1, attributes: { metadata: {} }, ifAbsent: true });
  for (let i = 1; i <= 1001; i++) await put(`shop/2026-11-20/datadump${i}.sql`);
  expect(await ship(written('next'))).toMatchObject({ key: 'shop/2026-11-20/datadump1002.sql' });
});

test('many at the same second: each has a number of its own, and there are no gaps', async () => {
  const files = Array.from({ length: 20 }, (_, i) => join(folder, `dump-${i}.sql`));
  const shipped = await Promise.all(files.map((file) => ship(written(`content of ${file}`, file), file)));
  const numbers = shipped.map(({ key }) => Number(/datadump(\d+)/.exec(key)![1]));
  expect(numbers.toSorted((a, b) => a - b)).toEqual(files.map((_, i) => i + 1));
  for (const [i, { key }] of shipped.entries()) expect(await stored(key)).toBe(`content of ${files[i]}`);
});

test('two processes find the same file, and one of them ships it', async () => {
  const file = written('one');
  const done = await Promise.all([1, 2].map(() => shipFile(file, path, targetOf(store), NEVER)));
  expect(done.filter((one) => one !== undefined)).toMatchObject([{ key: 'shop/2026-11-20/datadump1.sql' }]);
  expect(await dumps()).toHaveLength(1);
});

test('an answer that is lost does not ship the file twice', async () => {
  proxy.add({ operation: 'PutObject', fault: { kind: 'lost-answer' }, times: 1 });
  expect(await ship(written('once'))).toMatchObject({ key: 'shop/2026-11-20/datadump1.sql' });
  proxy.clear();
  expect(await ship(written('next'))).toMatchObject({ key: 'shop/2026-11-20/datadump2.sql' });
});

test('a process that died when the file was there ships it no second time, also on the next day', async () => {
  const file = written('once');
  proxy.add({ operation: 'HeadObject', fault: { kind: 'status', status: 403, code: 'AccessDenied' } });
  await expect(ship(file)).rejects.toThrow();
  proxy.clear();
  const [taken] = await takenFiles(path);
  expect(taken!.key).toBe('shop/2026-11-20/datadump1.sql');
  const tomorrow = { ...targetOf(store), moment: momentOf(Date.UTC(2026, 10, 21), 'UTC') };
  expect(await shipFile(taken!, path, tomorrow, NEVER)).toMatchObject({
    key: 'shop/2026-11-20/datadump1.sql',
  });
  expect(readdirSync(folder)).toEqual([]);
  expect(await dumps()).toHaveLength(1);
});

test('what was not there when a process died comes under the same key, also on the next day', async () => {
  const late = proxy.add({ operation: 'PutObject', fault: { kind: 'stall', ms: 500 }, times: 1 });
  const stop = new AbortController();
  const given = shipFile(written('once'), path, targetOf(store), stop.signal);
  await expect.poll(late).toBe(1);
  stop.abort(new Error('died'));
  await expect(given).rejects.toThrow('died');
  const [taken] = await takenFiles(path);
  const tomorrow = { ...targetOf(store), moment: momentOf(Date.UTC(2026, 10, 21), 'UTC') };
  expect(await shipFile(taken!, path, tomorrow, NEVER)).toMatchObject({
    key: 'shop/2026-11-20/datadump1.sql',
  });
  await expect
    .poll(() => proxy.log.filter((line) => line.endsWith('late')))
    .toEqual([expect.stringContaining('412')]);
  expect(await dumps()).toHaveLength(1);
});

test('a store that refuses: the file stays, out of the way of the next one, and is shipped before it', async () => {
  proxy.add({ operation: 'PutObject', fault: { kind: 'status', status: 403, code: 'AccessDenied' } });
  await expect(ship(written('first'))).rejects.toThrow();
  expect(existsSync(path)).toBe(false);
  const [waiting] = await takenFiles(path);
  expect(readFileSync(waiting!.path, 'utf8')).toBe('first');
  proxy.clear();
  const next = written('second');
  expect(await ship(waiting!)).toMatchObject({ key: 'shop/2026-11-20/datadump1.sql' });
  expect(await ship(next)).toMatchObject({ key: 'shop/2026-11-20/datadump2.sql' });
  expect(await stored('shop/2026-11-20/datadump1.sql')).toBe('first');
});

test('a file that is written to while it is uploaded is neither there nor lost', async () => {
  const file = written('half');
  const held = proxy.add({ operation: 'PutObject', fault: { kind: 'stall', ms: 200 }, times: 1 });
  const shipping = ship(file).catch((error: Error) => error.message);
  await expect.poll(held).toBe(1);
  const [taken] = await takenFiles(path);
  appendFileSync(taken!.path, ' and the other half');
  expect(await shipping).toContain('was written to while it was uploaded');
  expect(await store.head('shop/2026-11-20/datadump1.sql')).toBeUndefined();
  expect(readFileSync(path, 'utf8')).toBe('half and the other half');
  expect(readdirSync(folder)).toEqual(['datadump.sql']);
});
