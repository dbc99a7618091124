import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { FilesStore } from '../../stores/files/files-store.ts';
import {
  allManifests,
  type Manifest,
  type ManifestPlace,
  manifestSchema,
  newestManifest,
  readObject,
  writeManifest,
} from './manifest.ts';

const { signal } = new AbortController();

let folder: string;
let place: ManifestPlace;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-manifest-'));
  place = { store: new FilesStore(folder), prefix: 'lake/', job: 'shop' };
  return () => rmSync(folder, { recursive: true, force: true });
});

const manifest = (epoch: number, more: Partial<Manifest> = {}): Manifest => ({
  version: 1,
  job: 'shop',
  epoch,
  kind: epoch === 0 ? 'full-load' : 'changes',
  systemId: '7300000000000000001',
  fromLsn: epoch === 0 ? '0/0' : '16/B374D848',
  toLsn: '16/B374D848',
  files: [],
  schemas: {},
  events: [],
  tables: [],
  ...more,
});

const FULL: Manifest = manifest(3, {
  lastCommitMicros: '1795266900123456',
  files: [
    {
      key: 'public/Größe/a.parquet',
      schema: 'public',
      table: 'Größe',
      schemaId: 's1',
      rows: 3,
      bytes: 4000,
      sha256: 'ab',
      inserts: 1,
      updates: 1,
      deletes: 1,
      firstLsn: '0/1',
      lastLsn: 'FFFFFFFF/FFFFFFFF',
    },
  ],
  schemas: { s1: [{ name: 'id', type: 'bigint', parquet: 'INT64' }] },
  events: [
    { kind: 'truncate', schema: 'public', table: 'Größe', lsn: '0/2', ordinal: 0 },
    { kind: 'schema', schema: 'public', table: 'Größe', lsn: '0/2', ordinal: 1, detail: 'added a' },
  ],
});

const fileOf = (epoch: string) => join(folder, 'lake/_longshore/shop/epochs', `${epoch}.json`);

async function epochs(of = place): Promise<number[]> {
  const all: number[] = [];
  for await (const { epoch } of allManifests(of, signal)) all.push(epoch);
  return all;
}

test('a job without manifests', async () => {
  expect(await newestManifest(place, signal)).toBeUndefined();
  expect(await epochs()).toEqual([]);
});

test('a manifest comes back as it was written', async () => {
  await writeManifest(place, FULL, signal);
  expect(JSON.parse(readFileSync(fileOf('0000000003'), 'utf8'))).toEqual(FULL);
  expect(await newestManifest(place, signal)).toEqual(FULL);
});

test('the newest is that of the highest epoch, and all are in order', async () => {
  const all = Array.from({ length: 12 }, (_, epoch) => epoch);
  for (const epoch of all.toReversed()) await writeManifest(place, manifest(epoch), signal);
  expect((await newestManifest(place, signal))?.epoch).toBe(11);
  expect(await epochs()).toEqual(all);
});

test('a manifest that is missing, or does not follow the one before, is told', async () => {
  for (const epoch of [0, 1, 3]) await writeManifest(place, manifest(epoch), signal);
  await expect(epochs()).rejects.toThrow('the manifest of epoch 2 of the job shop is missing');
  await writeManifest(place, manifest(2, { fromLsn: '16/0' }), signal);
  await expect(epochs()).rejects.toThrow('the manifest of epoch 2 of the job shop is missing');
});

test('more manifests than a page of a listing holds', async () => {
  mkdirSync(join(folder, 'lake/_longshore/shop/epochs'), { recursive: true });
  for (let epoch = 0; epoch < 1003; epoch++) {
    writeFileSync(fileOf(String(epoch).padStart(10, '0')), JSON.stringify(manifest(epoch)));
  }
  expect((await newestManifest(place, signal))?.epoch).toBe(1002);
  expect(await epochs()).toEqual(Array.from({ length: 1003 }, (_, i) => i));
});

test('jobs and prefixes do not see the manifests of one another', async () => {
  await writeManifest(place, manifest(0), signal);
  for (const other of [
    { ...place, job: 'sho' },
    { ...place, job: 'shop2' },
    { ...place, prefix: '' },
  ]) {
    expect(await newestManifest(other, signal)).toBeUndefined();
  }
  await writeManifest({ ...place, prefix: '' }, manifest(7), signal);
  expect(await epochs()).toEqual([0]);
  expect(existsSync(join(folder, '_longshore/shop/epochs/0000000007.json'))).toBe(true);
});

test('an epoch that another process has written stays as it is', async () => {
  await writeManifest(place, manifest(1), signal);
  const before = readFileSync(fileOf('0000000001'));
  await expect(writeManifest(place, manifest(1, { toLsn: '17/0' }), signal)).rejects.toMatchObject({
    code: 'RUN_LOCKED',
    message: expect.stringContaining('epoch 1 of the job shop'),
  });
  expect(readFileSync(fileOf('0000000001')).equals(before)).toBe(true);
});

test('the same manifest may be written again: the answer to the first may have been lost', async () => {
  const first = { ...FULL, epoch: 0 };
  await writeManifest(place, first, signal);
  await writeManifest(place, first, signal);
  expect(await epochs()).toEqual([0]);
});

test('what is no manifest is not taken for one', async () => {
  await writeManifest(place, manifest(0), signal);
  const whole = readFileSync(fileOf('0000000000'), 'utf8');
  for (const text of [
    '',
    '{}',
    'null',
    whole.slice(0, -5),
    whole.replace('"version":1', '"version":2'),
    whole.replace('16/B374D848', '16-B374D848'),
    whole.replace('"epoch":0', '"epoch":-1'),
    whole.replace('"job"', '"more":1,"job"'),
  ]) {
    writeFileSync(fileOf('0000000001'), text);
    await expect(newestManifest(place, signal)).rejects.toMatchObject({
      code: 'JOURNAL_FOREIGN',
      message: expect.stringContaining(
        'lake/_longshore/shop/epochs/0000000001.json is not what this job writes',
      ),
    });
    await expect(epochs()).rejects.toMatchObject({ code: 'JOURNAL_FOREIGN' });
  }
});

test('LSNs are as PostgreSQL prints them', () => {
  const takes = (toLsn: string) => manifestSchema.safeParse(manifest(0, { toLsn })).success;
  expect(['0/0', '16/B374D848', 'FFFFFFFF/FFFFFFFF'].map(takes)).toEqual([true, true, true]);
  expect(['', '16', '16/b374d848', '0/123456789', ' 0/0', '0/0\n'].map(takes)).toEqual(Array(6).fill(false));
});

test('an object is read whole, and one that is not there is none', async () => {
  const bytes = Buffer.alloc(300_000, 'abcdefg');
  writeFileSync(join(folder, 'large'), bytes);
  writeFileSync(join(folder, 'empty'), '');
  expect((await readObject(place.store, 'large', signal))?.equals(bytes)).toBe(true);
  expect((await readObject(place.store, 'empty', signal))?.byteLength).toBe(0);
  expect(await readObject(place.store, 'absent', signal)).toBeUndefined();
});
