/** How a user may name a backup. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { parseStoreUrl } from '../../config/store-url.ts';
import { FilesStore } from '../../stores/files/files-store.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { findBackup, wholeStoreUrl } from './find-backup.ts';
import { type BackupManifest, encodeManifest } from './manifest.ts';

let store: ObjectStore;
beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-find-'));
  store = new FilesStore(`${folder}/`);
  return () => rmSync(folder, { recursive: true, force: true });
});

const put = async (key: string, body: Buffer): Promise<void> => {
  await store.put({ key, body, sizeBytes: body.length, attributes: { metadata: {} }, ifAbsent: false });
};
const manifest = (key: string, takenAt: string): BackupManifest => ({
  version: 1,
  takenAt,
  timeZone: 'UTC',
  key,
  format: 'file',
  compression: 'none',
  encryption: 'none',
  files: [{ key, bytes: 1, sha256: 'x' }],
  durationMs: 1,
});
const found = async (path: string) => {
  const { place, base, manifest } = await findBackup(store, path, new AbortController().signal);
  return [place.prefix, base, manifest.key];
};

test('by its dump, its manifest, its base, or any part of it; with any prefix', async () => {
  for (const [prefix, key, base] of [
    ['', '2026-11-20/datadump1.dump.zst', '2026-11-20/datadump1'],
    ['shop/', '2026-11-20/datadump1.sql.zst.age', '2026-11-20/datadump1'],
    ['a/b.c/', 'v1.2-datadump3/split.json.zst', 'v1.2-datadump3'],
  ] as const) {
    await put(prefix + key, Buffer.of(1));
    await put(`${prefix}${base}.manifest.json`, encodeManifest(manifest(key, '2026-11-20T03:00:00.000Z')));
    for (const path of [key, `${base}.manifest.json`, base, `${base}.globals.sql.zst`])
      expect(await found(prefix + path), prefix + path).toEqual([prefix, base, key]);
  }
  expect(await found('a/b.c/v1.2-datadump3/')).toEqual([
    'a/b.c/',
    'v1.2-datadump3',
    'v1.2-datadump3/split.json.zst',
  ]);
  await expect(found('2026-11-20/datadump2.dump.zst')).rejects.toThrow(/has no manifest beside it/);
});

test('the newest one below a prefix, if all of it is there', async () => {
  await expect(found('shop/')).rejects.toThrow(/there is no backup below/);
  for (const [day, name] of [
    ['2026-11-20', 'datadump1'],
    ['2026-11-21', 'datadump1'],
  ]) {
    const key = `${day}/${name}.sql`;
    await put(`shop/${key}`, Buffer.of(1));
    await put(`shop/${day}/${name}.manifest.json`, encodeManifest(manifest(key, `${day}T03:00:00.000Z`)));
  }
  expect(await found('shop/')).toEqual(['shop/', '2026-11-21/datadump1', '2026-11-21/datadump1.sql']);
  // Whoever names the bucket, or a day, is told where they are.
  for (const path of ['', 'shop/2026-11-21/'])
    await expect(found(path)).rejects.toMatchObject({ hint: `there are some of ${store.name}/shop/` });
  await store.delete([{ key: 'shop/2026-11-21/datadump1.sql' }]);
  await expect(found('shop/')).rejects.toThrow(/is not whole: 2026-11-21\/datadump1.sql is gone/);
});

test('a manifest that names files of elsewhere is none of that key', async () => {
  await put(
    'shop/datadump1.manifest.json',
    encodeManifest(manifest('other/datadump1.sql', '2026-11-20T03:00:00.000Z')),
  );
  await expect(found('shop/datadump1.sql')).rejects.toThrow(/has no manifest beside it/);
});

test('of a file system the whole of it is the store', () => {
  expect(wholeStoreUrl(parseStoreUrl('file:///data/shop/2026-11-20/datadump1.sql'))).toEqual({
    kind: 'files',
    folder: '/',
    prefix: 'data/shop/2026-11-20/datadump1.sql',
  });
});

test('a manifest that names what is not its own is not followed, and one that cannot be right is none', async () => {
  const whole = manifest('2026-11-20/datadump1.sql', '2026-11-20T03:00:00.000Z');
  const [file] = whole.files;
  for (const [change, said] of [
    [{ files: [file, { ...file, key: '2026-11-20/datadump1/../../../x' }] }, /which is not its own/],
    [{ files: [file, { ...file, key: '/etc/passwd' }] }, /which is not its own/],
    [{ files: [file, { ...file, key: '2026-11-20/datadump2.sql' }] }, /which is not its own/],
    [{ files: [] }, /what is restored is not among them/],
    [{ timeZone: 'Mars/Olympus' }, /knows no such time zone/],
  ] as const) {
    await put('2026-11-20/datadump1.sql', Buffer.of(1));
    const body = encodeManifest({ ...whole, ...change } as BackupManifest);
    await put('2026-11-20/datadump1.manifest.json', body);
    await expect(found('2026-11-20/datadump1.sql')).rejects.toThrow(said);
    await expect(found('')).rejects.toThrow();
  }
});
