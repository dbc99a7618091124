/** The three situations of a shared folder, and what the log says of each. */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../../test/servers/fault-proxy.ts';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { systemClock } from '../../flow/clock.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { readLastAttempt } from './last-attempt.ts';
import { momentOf } from './run-moment.ts';
import { shipWatched, type WatchOptions } from './ship-watched.ts';

let folder: string;
let watch: string;
let proxy: FaultProxy;
let store: ObjectStore;
let env: Record<string, string>;
/** The store refuses requests of another time than its own. */
let nowMs: number;
const notices: string[] = [];
beforeEach(async () => {
  const stack = new AsyncDisposableStack();
  folder = mkdtempSync(join(tmpdir(), 'longshore-watch-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'dumps'));
  watch = join(folder, 'dumps', 'datadump.sql');
  const server = stack.use(await startS3Server({ buckets: [] }));
  proxy = stack.use(await startFaultProxy(server.url));
  store = stack.use(testStore(server, 'backups'));
  env = {
    AWS_ENDPOINT_URL: proxy.url,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
  nowMs = Date.now();
  notices.length = 0;
  return () => stack.disposeAsync();
});

const look = (more: Partial<WatchOptions> = {}) =>
  shipWatched(
    { watch, to: 's3://backups/', timeZone: 'UTC', log: join(folder, 'log'), settle: 1, ...more },
    { env, clock: { ...systemClock, now: () => nowMs }, notice: (text) => notices.push(text) },
  );
const at = (timeZone = 'UTC') => momentOf(nowMs, timeZone);
const log = (timeZone = 'UTC') =>
  readFileSync(join(folder, 'log', `${at(timeZone).date}.log`), 'utf8')
    .trim()
    .split('\n');
const line = (message: string, timeZone = 'UTC') => `${at(timeZone).date},${at(timeZone).time},${message}`;
const dump = (number: number, timeZone = 'UTC') => `${at(timeZone).date}/datadump${number}.sql`;
const stored = async (key: string) => text((await store.get({ key }))!.body);

test('a file; none; and two on one day, into a bucket that is made for them', async () => {
  writeFileSync(watch, 'one');
  expect(await look()).toMatchObject({
    shipped: [{ key: dump(1), bytes: 3 }],
    left: undefined,
  });
  expect(readdirSync(join(folder, 'dumps'))).toEqual([]);
  expect(await look()).toEqual({ shipped: [], left: undefined });
  writeFileSync(watch, 'two');
  await look();
  expect(await stored(dump(1))).toBe('one');
  expect(await stored(dump(2))).toBe('two');
  expect(log()).toEqual([
    line('file successfully uploaded'),
    line('there is no file to upload'),
    line('file successfully uploaded'),
  ]);
  expect(notices.every((text) => text.startsWith('backups is made, but not'))).toBe(true);
});

test('nothing is made and nothing is asked where there is no file', async () => {
  await look();
  expect(proxy.log).toEqual([]);
});

test('another day begins with 1, in the time zone that was chosen', async () => {
  // A day apart, whatever the time is.
  for (const timeZone of ['Pacific/Niue', 'Pacific/Kiritimati']) {
    writeFileSync(watch, timeZone);
    await look({ timeZone });
    expect(await stored(dump(1, timeZone))).toBe(timeZone);
    expect(log(timeZone)).toEqual([line('file successfully uploaded', timeZone)]);
  }
});

test('a file that is not whole is left alone, and the log says why', async () => {
  writeFileSync(watch, '-- MariaDB dump 10.19\nINSERT');
  const { shipped, left } = await look();
  expect(shipped).toEqual([]);
  expect(left).toContain('datadump.sql has no end');
  expect(log()).toEqual([line(left!)]);
  expect(existsSync(watch)).toBe(true);
});

test('an error is in the log, and what was not shipped is shipped first the next time', async () => {
  writeFileSync(watch, 'one');
  proxy.add({
    operation: 'PutObject',
    path: /datadump/,
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  });
  await expect(look()).rejects.toMatchObject({ code: 'STORE_DENIED' });
  const place = { store, prefix: '' };
  expect(await readLastAttempt(place)).toEqual({
    ...{ at: new Date(nowMs).toISOString(), ended: 'failed', what: expect.stringContaining('AccessDenied') },
  });
  proxy.clear();
  writeFileSync(watch, 'two');
  expect((await look()).shipped.map(({ key }) => key)).toEqual([dump(1), dump(2)]);
  expect(await stored(dump(1))).toBe('one');
  expect(await readLastAttempt(place)).toMatchObject({ ended: 'done', what: dump(2) });
  expect(log()).toEqual([
    expect.stringContaining('AccessDenied'),
    line('file successfully uploaded'),
    line('file successfully uploaded'),
  ]);
});

test('an attempt that cannot be noted is told, and is what it was', async () => {
  writeFileSync(watch, 'one');
  proxy.add({
    operation: 'PutObject',
    path: /last-attempt/,
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  });
  expect((await look()).shipped).toHaveLength(1);
  expect(notices.at(-1)).toContain('how this attempt ended is not noted');
  proxy.add({ operation: 'PutObject', fault: { kind: 'status', status: 403, code: 'AccessDenied' } });
  writeFileSync(watch, 'two');
  await expect(look()).rejects.toMatchObject({ message: expect.stringContaining('datadump2') });
});

test('a file that another process is shipping is not shipped twice', async () => {
  const held = join(
    folder,
    'dumps',
    `.datadump.sql.${Buffer.from('elsewhere').toString('base64url')}-7.1-1.shipping`,
  );
  writeFileSync(held, 'one');
  expect(await look()).toEqual({ shipped: [], left: undefined });
  expect(notices).toEqual([expect.stringContaining('is being shipped by process 7 of elsewhere')]);
  expect(existsSync(held)).toBe(true);
});

test('the folder is not there', async () => {
  await expect(look({ watch: join(folder, 'none', 'datadump.sql') })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    hint: expect.stringContaining('--watch'),
  });
});

test('into a folder', async () => {
  writeFileSync(watch, 'one');
  await look({ to: `file://${folder}/backups/` });
  expect(readFileSync(join(folder, 'backups', dump(1)), 'utf8')).toBe('one');
});
