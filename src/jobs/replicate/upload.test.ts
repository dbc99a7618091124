/** How a finished file comes under its name, whatever is there already. */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, expect, test } from 'vitest';
import { startFaultProxy } from '../../../test/servers/fault-proxy.ts';
import { testStore } from '../../../test/servers/s3-store.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import { DEFAULT_RETRY } from '../../flow/retry.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { RetryingStore } from '../../stores/retrying-store.ts';
import { type FinishedFile, upload } from './full-load.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-upload-'));
  return () => rmSync(folder, { recursive: true, force: true });
});

const NEVER = new AbortController().signal;
let files = 0;

function fileOf(content: string, key = 'public/t/LOAD00000001.parquet'): FinishedFile {
  const path = join(folder, `file-${++files}`);
  writeFileSync(path, content);
  return { key, path, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}

async function setUp() {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startS3Server({ buckets: ['lake'] }));
  const proxy = stack.use(await startFaultProxy(server.url));
  const store: ObjectStore = new RetryingStore(
    stack.use(testStore({ ...server, url: proxy.url }, 'lake')),
    DEFAULT_RETRY,
    {},
  );
  let asked = 0;
  /** @param isOurs is told how often it was asked */
  const put = (file: FinishedFile, isOurs = (_: number) => true): Promise<void> =>
    upload(
      { store, prefix: 'shop/' },
      file,
      async () => {
        if (!isOurs(++asked)) throw new Error('not ours');
      },
      NEVER,
    );
  return {
    proxy,
    put,
    asked: () => asked,
    stored: async (file: FinishedFile) => text((await store.get({ key: `shop/${file.key}` }))!.body),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

test('what an attempt before left there is replaced, and never away', async () => {
  await using world = await setUp();
  await world.put(fileOf('of another snapshot'));
  await world.put(fileOf('rows'));
  expect(await world.stored(fileOf('rows'))).toBe('rows');
  expect(world.asked()).toBe(1);
  expect(world.proxy.log.filter((line) => line.startsWith('Delete'))).toEqual([]);
});

test('the same file is there already, as an answer was lost', async () => {
  await using world = await setUp();
  world.proxy.add({ operation: 'PutObject', fault: { kind: 'lost-answer' }, times: 1 });
  await world.put(fileOf('rows'));
  expect(await world.stored(fileOf('rows'))).toBe('rows');
  expect(world.asked()).toBe(0);
});

test('a process that has lost the job replaces nothing', async () => {
  await using world = await setUp();
  await world.put(fileOf('that is landed'));
  await expect(world.put(fileOf('of another snapshot'), () => false)).rejects.toThrow('not ours');
  expect(await world.stored(fileOf(''))).toBe('that is landed');
});

test('a request to replace that arrives late finds another file, and leaves it', async () => {
  await using world = await setUp();
  await world.put(fileOf('of a process that died'));
  // The first one puts where nothing is, and is refused; the second one replaces.
  const late = world.proxy.add({
    operation: 'PutObject',
    after: 1,
    fault: { kind: 'stall', ms: 500 },
    times: 1,
  });
  const slow = world.put(fileOf('of a process that is given up'), (nth) => nth === 1);
  const given = slow.catch((error: Error) => error.message);
  await expect.poll(late).toBe(1);
  await world.put(fileOf('rows'));
  expect(await given).toBe('not ours');
  const answers = world.proxy.log.filter((line) => line.includes('late'));
  expect(answers).toEqual([expect.stringMatching(/^PutObject .* 412 late$/)]);
  expect(await world.stored(fileOf(''))).toBe('rows');
});
