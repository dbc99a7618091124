/** Manifests, CSV and Parquet files of S3 Inventory, and plain lists of keys. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BatchBuilder } from './columns/batch-builder.ts';
import { BytesBuilder } from './columns/column-builder.ts';
import { ParquetFile } from './columns/parquet-file.ts';
import {
  decodedKeys,
  type InventoryCsvLayout,
  type InventoryEntry,
  readInventoryCsv,
} from './inventory-csv.ts';
import { parseInventoryManifest } from './inventory-manifest.ts';
import { readInventoryParquet } from './inventory-parquet.ts';

const PARQUET = new URL('../../test/fixtures/inventory/inventory.parquet', import.meta.url).pathname;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-inventory-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function all(batches: AsyncIterable<InventoryEntry[]>): Promise<InventoryEntry[]> {
  const entries: InventoryEntry[] = [];
  for await (const batch of batches) entries.push(...batch);
  return entries;
}

async function keysOf(content: string | Buffer, layout: InventoryCsvLayout): Promise<string[]> {
  const path = join(folder, 'file');
  writeFileSync(path, content);
  return (await all(readInventoryCsv(path, layout))).map(({ key }) => key);
}

const manifest = {
  sourceBucket: 'legacy-s3',
  destinationBucket: 'arn:aws:s3:::inventories',
  version: '2016-11-30',
  creationTimestamp: '1514944800000',
  fileFormat: 'CSV',
  fileSchema: 'Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag',
  files: [{ key: 'a/data/1.csv.gz', size: 3, MD5checksum: 'F11166069f1990abeb9c97ace9cdfabc' }],
};

describe('manifest', () => {
  test('names columns and files', () => {
    expect(parseInventoryManifest(JSON.stringify(manifest), 'm')).toEqual({
      sourceBucket: 'legacy-s3',
      format: 'CSV',
      columns: ['Bucket', 'Key', 'VersionId', 'IsLatest', 'IsDeleteMarker', 'Size', 'ETag'],
      files: [{ key: 'a/data/1.csv.gz', sizeBytes: 3, md5: 'f11166069f1990abeb9c97ace9cdfabc' }],
    });
  });

  test.each([
    ['no JSON', '{', 'CHECK_FAILED', /not the manifest/],
    ['something else', '{"a":1}', 'CHECK_FAILED', /sourceBucket/],
    [
      'a format that is not read',
      JSON.stringify({ ...manifest, fileFormat: 'ORC' }),
      'CONFIG_INVALID',
      /ORC/,
    ],
    ['no key', JSON.stringify({ ...manifest, fileSchema: 'Bucket, Size' }), 'CHECK_FAILED', /no column Key/],
  ])('%s is refused', (_, text, code, message) => {
    expect(() => parseInventoryManifest(text, 'm.json')).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});

describe('CSV', () => {
  const layout = {
    kind: 'inventory',
    columns: ['Bucket', 'Key', 'VersionId', 'IsLatest', 'IsDeleteMarker', 'Size'],
    bucket: 'legacy-s3',
  } as const;
  const rows = [
    '"legacy-s3","image/with%20space.png","v","true","false","7"',
    '"legacy-s3","image/a%2Bb.png","v","true","false","0"',
    '"legacy-s3","image/100%2525.png","v","true","false","1"',
    '"legacy-s3","image/%C3%A9.png","v","true","false","1"',
    '"legacy-s3","image/%22q%22%2C%0A.png","v","true","false","1"',
    '"legacy-s3","image/old.png","v","false","false","1"',
    '"legacy-s3","image/gone.png","v","true","true",""',
  ].join('\n');
  const keys = [
    'image/with space.png',
    'image/a+b.png',
    'image/100%25.png',
    'image/é.png',
    'image/"q",\n.png',
  ];

  test('current objects, keys decoded, gzipped or not', async () => {
    expect(await keysOf(rows, layout)).toEqual(keys);
    expect(await keysOf(gzipSync(rows), layout)).toEqual(keys);
  });

  test('sizes', async () => {
    const path = join(folder, 'sizes');
    writeFileSync(path, rows);
    expect((await all(readInventoryCsv(path, layout))).map(({ sizeBytes }) => sizeBytes)).toEqual([
      7, 0, 1, 1, 1,
    ]);
  });

  test('rows of another bucket are refused', async () => {
    await expect(keysOf(rows, { ...layout, bucket: 'other' })).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/names bucket "legacy-s3"/),
    });
  });

  test('a plus sign may stand for a space or for itself', () => {
    expect(decodedKeys('a+b')).toEqual(['a b', 'a+b']);
    expect(decodedKeys('a%2Bb')).toEqual(['a+b']);
    expect(decodedKeys('50%')).toEqual(['50%']);
  });

  test('a gzip file that is cut short is refused', async () => {
    const random = Buffer.from(
      Array.from({ length: 5000 }, (_, i) => `legacy-s3,k${(i * 7919) % 104_729}`).join('\n'),
    );
    await expect(keysOf(gzipSync(random).subarray(0, 900), layout)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/decompressed/),
    });
  });
});

describe('a list of keys', () => {
  const list = { kind: 'list', bucket: 'legacy-s3' } as const;

  test.each([
    [
      'one column, keys as they stand',
      'a b.png\n50%25.png\n"c,d.png"\n',
      ['a b.png', '50%25.png', 'c,d.png'],
    ],
    ['columns by their names, keys as they stand', 'id,Key\n1,a+b.png\n2,%41.png\n', ['a+b.png', '%41.png']],
    ['bucket and encoded key', 'legacy-s3,a%20b.png\nlegacy-s3,c.png\n', ['a b.png', 'c.png']],
  ])('%s', async (_, text, expected) => {
    expect(await keysOf(text, list)).toEqual(expected);
  });

  test('of another bucket is refused', async () => {
    await expect(keysOf('other,a.png\n', list)).rejects.toThrow(/"other"/);
  });
});

describe('Parquet', () => {
  const expected = [
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
    'other/outside.png',
  ];

  test('current objects of every row group, keys as they are', async () => {
    const entries = await all(readInventoryParquet(PARQUET, 'legacy-s3'));
    expect(entries.map(({ key }) => key)).toEqual(expected);
    expect(entries[3]).toEqual({ key: 'image/100%25.png', sizeBytes: 13 });
  });

  test('of another bucket is refused', async () => {
    await expect(all(readInventoryParquet(PARQUET, 'other'))).rejects.toThrow(/legacy-s3/);
  });

  test('a row group of many rows is read in parts, each key once and in order', async () => {
    const path = join(folder, 'many.parquet');
    const rows = 50_000;
    const key = (i: number): string => `image/${i}.png`;
    const parts: Uint8Array[] = [];
    const file = new ParquetFile(
      { compression: 'snappy' },
      (pieces) => void parts.push(Buffer.concat(pieces)),
    );
    const keys = new BytesBuilder({ kind: 'text' });
    for (let i = 0; i < rows; i++) keys.pushText(key(i));
    await file.write(new BatchBuilder([{ name: 'key', type: keys.type }], [keys]));
    await file.end();
    writeFileSync(path, Buffer.concat(parts));
    let read = 0;
    for await (const entries of readInventoryParquet(path, 'legacy-s3')) {
      expect(entries.length).toBeLessThan(rows);
      expect(entries.every((entry, i) => entry.key === key(read + i))).toBe(true);
      read += entries.length;
    }
    expect(read).toBe(rows);
  });

  test('what is no Parquet is refused', async () => {
    const path = join(folder, 'not.parquet');
    writeFileSync(path, 'PAR1 but not really PAR1');
    await expect(all(readInventoryParquet(path, 'legacy-s3'))).rejects.toMatchObject({
      code: 'CHECK_FAILED',
    });
  });
});
