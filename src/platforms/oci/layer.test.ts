import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestOf } from './image.ts';
import { diffIdOf, filesOfLayer, gzipped, type LayerFile, tarOf } from './layer.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-layer-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function bytesOf(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

const LONG = `deep/${'folder/'.repeat(20)}${'name'.repeat(30)}.sql`;

function files(seed: number): LayerFile[] {
  const path = join(folder, `program-${seed}`);
  writeFileSync(path, 'x'.repeat(200_000), { mode: seed === 1 ? 0o600 : 0o644 });
  utimesSync(path, seed * 1e6, seed * 1e6);
  const list: LayerFile[] = [
    { path: 'a/b.txt', content: Buffer.from('b') },
    { path: 'a.txt', content: Buffer.from('') },
    { path: LONG, content: Buffer.from('ü') },
    { path: 'bin/program', mode: 0o755, content: { file: path, size: 200_000 } },
    { path: 'tmp', mode: 0o1777, content: 'folder' },
  ];
  return seed === 1 ? list : list.reverse();
}

test('the same files make the same layer, in whatever order and whenever they were written', async () => {
  const one = await bytesOf(gzipped(tarOf(files(1))));
  const two = await bytesOf(gzipped(tarOf(files(2))));
  expect(digestOf(one)).toBe(digestOf(two));
  // No time, no name, no system.
  expect(one.subarray(0, 10).toString('hex')).toMatch(/^1f8b0800000000000.ff$/);
  expect(digestOf(gunzipSync(one))).toBe(await diffIdOf(files(1)));
  const other = [...files(1), { path: 'z', content: Buffer.from('') }];
  expect(await diffIdOf(other)).not.toBe(await diffIdOf(files(1)));
});

test('a layer is read however it is compressed, and refused where it is another one', async () => {
  const tar = await bytesOf(tarOf(files(1)));
  const diffId = digestOf(tar);
  const limits = { diffId, bytesMax: 1_000_000, what: 'a layer' };
  for (const bytes of [tar, await bytesOf(gzipped(tarOf(files(1)))), zstdCompressSync(tar)]) {
    const found = await filesOfLayer(pieces(bytes), limits);
    expect([...found.keys()].sort()).toEqual(['a.txt', 'a/b.txt', 'bin/program', LONG].sort());
    expect(found.get(LONG)?.toString()).toBe('ü');
  }
  const other = { ...limits, diffId: diffId.replace(/.$/, (last) => (last === '0' ? '1' : '0')) };
  await expect(filesOfLayer(pieces(tar), other)).rejects.toThrow('is damaged');
  await expect(filesOfLayer(pieces(tar), { ...limits, bytesMax: 100_000 })).rejects.toThrow(
    'more than 100000 bytes',
  );
});

test('a file that is shorter than it was ends the layer with an error', async () => {
  const path = join(folder, 'short');
  writeFileSync(path, 'x');
  await expect(bytesOf(gzipped(tarOf([{ path: 'a', content: { file: path, size: 2 } }])))).rejects.toThrow();
  await expect(
    bytesOf(tarOf([{ path: 'a', content: { file: join(folder, 'no'), size: 2 } }])),
  ).rejects.toThrow('ENOENT');
});
