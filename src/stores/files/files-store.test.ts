import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { move } from '../../jobs/move/run.ts';
import { compareKeys } from '../key-order.ts';
import { FilesStore } from './files-store.ts';

let folder: string;
let store: FilesStore;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-files-'));
  store = new FilesStore(`${folder}/`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function put(key: string, text = key, ifAbsent = false): Promise<string> {
  const body = Buffer.from(text);
  const outcome = await store.put({
    key,
    body,
    sizeBytes: body.byteLength,
    attributes: { contentType: 'image/png', metadata: { user: '7' } },
    tags: [{ key: 'a', value: 'b' }],
    ifAbsent,
  });
  return outcome.kind;
}

test('what is put is read back, with its attributes and tags', async () => {
  expect(await put('a/b c.png', 'hello')).toBe('copied');
  const head = await store.head('a/b c.png');
  expect(head).toMatchObject({
    sizeBytes: 5,
    attributes: { contentType: 'image/png', metadata: { user: '7' } },
    tagCount: 1,
  });
  const opened = await store.get({ key: 'a/b c.png', etag: head!.etag });
  expect(String(await opened!.body.toArray())).toBe('hello');
  expect(await store.get({ key: 'a/b c.png', etag: 'other' })).toBeUndefined();
});

test('only one of two puts on an absent key wins', async () => {
  const kinds = await Promise.all([put('a', '1', true), put('a', '2', true)]);
  expect(kinds.sort()).toEqual(['copied', 'target-exists']);
});

test('listings are in the order of the bytes, over folders, page by page', async () => {
  const keys = ['a', 'a-b', 'a.b', 'a/x', 'a/y/z', 'a0', 'emoji-😀', 'wide-～', 'Z', 'é'];
  // A file and a folder cannot share a name.
  const wanted = keys.filter((key) => key !== 'a').sort(compareKeys);
  for (const key of wanted) await put(key);
  const found: string[] = [];
  for (let startAfter: string | undefined; ; ) {
    const page = await store.list({ prefix: '', startAfter, limit: 2 });
    found.push(...page.objects.map((object) => object.key));
    if (!page.more) break;
    startAfter = found.at(-1);
  }
  expect(found).toEqual(wanted);
  expect((await store.list({ prefix: 'a/' })).objects.map((object) => object.key)).toEqual(['a/x', 'a/y/z']);
});

test.each(['../out', 'a//b', './a', 'dir/', '', 'a\0b', '.longshore-x'])(
  'the key %j is refused',
  async (key) => {
    await expect(put(key)).rejects.toMatchObject({ code: 'OBJECT_FAILED' });
    expect(await store.head(key)).toBeUndefined();
  },
);

test('links are not followed', async () => {
  symlinkSync('/etc/hostname', join(folder, 'link'));
  expect(await store.head('link')).toBeUndefined();
  expect((await store.list({ prefix: '' })).objects).toEqual([]);
});

test('deletion is bound to the ETag and takes empty folders along', async () => {
  await put('a/b/c');
  expect(await store.delete([{ key: 'a/b/c', etag: 'other' }, { key: 'absent' }])).toEqual([
    { kind: 'changed' },
    { kind: 'deleted' },
  ]);
  const etag = (await store.head('a/b/c'))!.etag;
  expect(await store.delete([{ key: 'a/b/c', etag }])).toEqual([{ kind: 'deleted' }]);
  expect(readdirSync(folder).filter((name) => !name.startsWith('.longshore'))).toEqual([]);
});

test('a folder is moved to another one, proven by reading', async () => {
  await put('image/1.png', 'one');
  await put('image/2.png', 'two');
  const summary = await move(
    { from: `file://${folder}/image/`, to: `file://${folder}/avatar/`, delete: 'proven' },
    { stateFolder: join(folder, '.longshore-state') },
  ).catch((error: unknown) => error);
  // The folder of the target must be there, as a bucket must.
  expect(summary).toMatchObject({ code: 'BUCKET_NOT_FOUND' });
  const { mkdirSync } = await import('node:fs');
  mkdirSync(join(folder, 'avatar'));
  const done = await move(
    { from: `file://${folder}/image/`, to: `file://${folder}/avatar/`, delete: 'proven' },
    { stateFolder: join(folder, '.longshore-state') },
  );
  expect(done.failures).toBe(0);
  expect(done.total.proofs.bytes).toBe(2);
  expect(readdirSync(join(folder, 'avatar')).filter((name) => name.endsWith('.png'))).toEqual([
    '1.png',
    '2.png',
  ]);
});
