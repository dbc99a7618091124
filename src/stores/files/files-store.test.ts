/** The files store keeps the contract of an object store, and what is its own: names, links, folders, crashes. */

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { move } from '../../jobs/move/run.ts';
import { compareKeys } from '../key-order.ts';
import { type ContractStore, describeObjectStore, type Exclusion } from '../object-store.contract.ts';
import { FilesStore } from './files-store.ts';

const EXCLUSIONS: readonly Exclusion[] = [
  {
    reason: 'a part of the key is empty, "." or "..": no file can have this name',
    excludes: (key) => key.split('/').some((part) => part === '' || part === '.' || part === '..'),
  },
  {
    reason: 'a part of the key is longer than the 255 bytes of a file name',
    excludes: (key) => key.split('/').some((part) => Buffer.byteLength(part) > 255),
  },
  {
    reason: 'a file and a folder cannot share a name',
    excludes: (key, kept) =>
      [...kept].some((other) => other.startsWith(`${key}/`) || key.startsWith(`${other}/`)),
  },
];

describeObjectStore(
  'the files store',
  async (): Promise<ContractStore> => {
    const root = mkdtempSync(join(tmpdir(), 'longshore-files-'));
    mkdirSync(join(root, 'bucket'));
    mkdirSync(join(root, 'other'));
    return {
      store: new FilesStore(join(root, 'bucket')),
      other: new FilesStore(join(root, 'other')),
      unknown: new FilesStore(join(root, 'unknown')),
      [Symbol.asyncDispose]: async () => rmSync(root, { recursive: true, force: true }),
    };
  },
  {
    capabilities: {
      conditionalCopy: true,
      conditionalCopySource: true,
      conditionalPut: true,
      conditionalDelete: 'none',
      serverSideCopy: true,
      partCopy: false,
      tags: true,
      acl: false,
      etag: 'opaque',
      checksums: false,
      listing: { bytewise: true, urlEncoding: 'none' },
    },
    settings: { versioning: 'off' },
    exclusions: EXCLUSIONS,
    refusesExcluded: true,
    attributesLost: [],
    atomicPuts: true,
  },
);

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

test('links are followed neither to files nor to folders', async () => {
  const outside = mkdtempSync(join(tmpdir(), 'longshore-outside-'));
  try {
    writeFileSync(join(outside, 'secret'), 'secret');
    symlinkSync(join(outside, 'secret'), join(folder, 'file-link'));
    symlinkSync(outside, join(folder, 'folder-link'));
    mkdirSync(join(folder, 'real'));
    symlinkSync(outside, join(folder, 'real/deep-link'));
    for (const key of ['file-link', 'folder-link', 'folder-link/secret', 'real/deep-link/secret']) {
      expect(await store.head(key), key).toBeUndefined();
      expect(await store.get({ key }), key).toBeUndefined();
      expect(await store.delete([{ key }]), key).toEqual([{ kind: 'deleted' }]);
      const copy = { sourceKey: key, targetKey: 'copy', ifAbsent: true, keep: { tags: false } };
      expect(await store.copyFrom(store, copy), key).toEqual({ kind: 'source-missing' });
    }
    for (const key of ['folder-link/new', 'folder-link/sub/new', 'real/deep-link/new', 'file-link']) {
      await expect(put(key, 'x', true), key).rejects.toMatchObject({ code: 'OBJECT_FAILED' });
    }
    for (const prefix of ['', 'folder-link/', 'folder-link/s', 'real/deep-link/']) {
      expect((await store.list({ prefix })).objects, prefix).toEqual([]);
    }
    expect(readdirSync(outside)).toEqual(['secret']);
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
  } finally {
    rmSync(outside, { recursive: true });
  }
});

test('the folder itself may be reached through a link', async () => {
  symlinkSync(folder, `${folder}-link`);
  try {
    const linked = new FilesStore(`${folder}-link`);
    await put('a/b');
    expect((await linked.head('a/b'))?.sizeBytes).toBe(3);
    expect((await linked.list({ prefix: 'a/' })).objects).toHaveLength(1);
  } finally {
    unlinkSync(`${folder}-link`);
  }
});

test('files being written, and attributes, are not listed and cannot be named', async () => {
  let seen: unknown;
  const body = Readable.from(
    (async function* () {
      yield Buffer.from('12');
      seen = (await store.list({ prefix: '' })).objects;
      yield Buffer.from('3');
    })(),
  );
  const attributes = { contentType: 'a/b', metadata: {} };
  await store.put({ key: 'sub/a', body, sizeBytes: 3, attributes, ifAbsent: true });
  expect(seen).toEqual([]);
  expect((await store.list({ prefix: '.' })).objects).toEqual([]);
  const [hidden] = readdirSync(folder).filter((name) => name.startsWith('.longshore-'));
  expect(await store.head(`${hidden}/x`)).toBeUndefined();
});

test('a failed or refused put leaves no folder and no hidden file', async () => {
  await put('taken/a');
  const before = readdirSync(folder, { recursive: true }).sort();
  expect(await put('taken/a', 'other', true)).toBe('target-exists');
  const short = { body: Buffer.from('x'), sizeBytes: 2, attributes: { metadata: {} }, ifAbsent: true };
  await expect(store.put({ ...short, key: 'new/folder/a' })).rejects.toThrow();
  await expect(put('taken', 'a folder is there', true)).rejects.toMatchObject({ code: 'OBJECT_FAILED' });
  await expect(put('taken', 'a folder is there')).rejects.toMatchObject({ code: 'OBJECT_FAILED' });
  await expect(put('taken/a/b', 'a file is there', true)).rejects.toMatchObject({ code: 'OBJECT_FAILED' });
  expect(readdirSync(folder, { recursive: true }).sort()).toEqual(before);
});

test('an overwritten object has the attributes of the new one only', async () => {
  await put('a', 'one');
  const plain = { body: Buffer.from('two'), sizeBytes: 3, attributes: { metadata: {} }, ifAbsent: false };
  await store.put({ ...plain, key: 'a' });
  expect(await store.head('a')).toMatchObject({ attributes: { metadata: {} }, tagCount: 0 });
  await put('a', 'six');
  expect(await store.head('a')).toMatchObject({ attributes: { contentType: 'image/png' }, tagCount: 1 });
  await store.delete([{ key: 'a' }]);
  writeFileSync(join(folder, 'a'), 'new');
  expect(await store.head('a')).toMatchObject({ attributes: { metadata: {} }, tagCount: 0 });
});

test('attributes survive a copy of the whole tree by other means', async () => {
  await put('a/b', 'one');
  const copy = mkdtempSync(join(tmpdir(), 'longshore-copy-'));
  try {
    cpSync(folder, copy, { recursive: true });
    const copied = new FilesStore(copy);
    expect(await copied.head('a/b')).toMatchObject({ attributes: { contentType: 'image/png' } });
  } finally {
    rmSync(copy, { recursive: true });
  }
});

test('a file that changes while it is copied is not taken for the one it was', async () => {
  await put('a', 'one');
  const { etag } = (await store.head('a'))!;
  writeFileSync(join(folder, 'a'), 'two');
  const copy = { sourceKey: 'a', targetKey: 'b', ifAbsent: true, keep: { tags: true } };
  expect(await store.copyFrom(store, { ...copy, sourceEtag: etag })).toEqual({ kind: 'source-changed' });
});

test('puts and deletions in one folder at once lose nothing', async () => {
  for (let round = 0; round < 20; round++) {
    await put('deep/folder/old');
    const [kind] = await Promise.all([
      put('deep/folder/new', 'x', true),
      store.delete([{ key: 'deep/folder/old' }]),
    ]);
    expect(kind).toBe('copied');
    expect((await store.list({ prefix: 'deep/' })).objects.map(({ key }) => key)).toEqual([
      'deep/folder/new',
    ]);
    await store.delete([{ key: 'deep/folder/new' }]);
    expect(existsSync(join(folder, 'deep'))).toBe(false);
  }
});

test('a folder larger than what is kept in memory is listed whole', async () => {
  const names = Array.from({ length: 9_000 }, (_, i) => `flat/${i}`).sort(compareKeys);
  mkdirSync(join(folder, 'flat'));
  for (const name of names) writeFileSync(join(folder, name), '');
  const { objects, more } = await store.list({ prefix: 'flat/', limit: 8_999 });
  expect(objects.map(({ key }) => key)).toEqual(names.slice(0, -1));
  expect(more).toBe(true);
  const after = await store.list({ prefix: 'flat/', startAfter: names.at(-3)! });
  expect(after.objects.map(({ key }) => key)).toEqual(names.slice(-2));
});

test('only folders that may hold what is asked for are read', async () => {
  await put('a/b/c');
  await put('a/x/c');
  for (const closed of ['a/x', 'z', 'a/b0']) {
    mkdirSync(join(folder, closed), { recursive: true });
    // A name that is not UTF-8 makes a listing that comes by it fail.
    writeFileSync(Buffer.concat([Buffer.from(join(folder, closed, 'x')), Buffer.of(0xff)]), '');
  }
  expect((await store.list({ prefix: 'a/b/' })).objects.map(({ key }) => key)).toEqual(['a/b/c']);
  const page = await store.list({ prefix: '', limit: 1 });
  expect(page.objects.map(({ key }) => key)).toEqual(['a/b/c']);
  await expect(store.list({ prefix: 'a/' })).rejects.toMatchObject({ code: 'OBJECT_FAILED' });
});

test.skipIf(process.getuid?.() === 0)('a folder without rights is named', async () => {
  mkdirSync(join(folder, 'closed'));
  chmodSync(join(folder, 'closed'), 0o500);
  await expect(put('closed/a')).rejects.toMatchObject({
    code: 'STORE_DENIED',
    message: expect.stringContaining(join(folder, 'closed')),
  });
  chmodSync(join(folder, 'closed'), 0o000);
  await expect(store.list({ prefix: '' })).rejects.toMatchObject({ code: 'STORE_DENIED' });
  chmodSync(join(folder, 'closed'), 0o700);
});

test('a full disk is named as such', async () => {
  // Writing to this device fails as on a full disk.
  if (!existsSync('/dev/full')) return;
  const { filesError } = await import('./files-error.ts');
  let thrown: unknown;
  try {
    writeFileSync('/dev/full', 'x');
  } catch (error) {
    thrown = error;
  }
  expect(filesError(thrown, 'write a', 'file:///x')).toMatchObject({
    code: 'STORE_UNSUPPORTED',
    hint: expect.stringContaining('disk is full'),
  });
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
