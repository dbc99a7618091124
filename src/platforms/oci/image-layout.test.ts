import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readDockerTar, writeDockerTar } from './docker-tar.ts';
import { ARCHITECTURE, canonicalJson, digestOf, MEDIA_TYPES } from './image.ts';
import { ImageLayout } from './image-layout.ts';
import { collected } from './verified.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-layout-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function withImage(layout: ImageLayout, text: string) {
  const layer = await layout.putBytes(Buffer.from(text), MEDIA_TYPES.layer);
  const config = await layout.putBytes(
    canonicalJson({
      architecture: ARCHITECTURE,
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    }),
    MEDIA_TYPES.config,
  );
  const manifest = canonicalJson({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config,
    layers: [layer],
  });
  return { layer, manifest: await layout.putBytes(manifest, MEDIA_TYPES.manifest) };
}

test('several images under their names; a name goes from one to the next', async () => {
  const layout = await ImageLayout.make(join(folder, 'a', 'b'));
  const [one, two] = [await withImage(layout, 'one'), await withImage(layout, 'two')];
  await layout.tag('shop:2', one.manifest);
  await layout.tag('shop:1', one.manifest);
  await layout.tag('shop:2', two.manifest);
  expect(layout.names().map(({ name, descriptor }) => [name, descriptor.digest])).toEqual([
    ['shop:1', one.manifest.digest],
    ['shop:2', two.manifest.digest],
  ]);
  const image = await ImageLayout.find(join(folder, 'a', 'b'))!.image('shop:2');
  expect((await collected(image.blob(two.layer), 100, 'it')).toString()).toBe('two');
  await expect(layout.image('shop:3')).rejects.toThrow('holds no shop:3');
  await expect(layout.image()).rejects.toThrow('several images');
  expect(ImageLayout.find(folder)).toBeUndefined();
});

test('processes that name images at once lose no name, also where one was killed', async () => {
  const layout = await ImageLayout.make(folder);
  const { manifest } = await withImage(layout, 'one');
  // Process numbers do not go that high.
  writeFileSync(join(folder, 'index.lock'), '99999999');
  const script = `
    const { ImageLayout } = await import(${JSON.stringify(new URL('image-layout.ts', import.meta.url).href)});
    const layout = ImageLayout.find(${JSON.stringify(folder)});
    for (let i = 0; i < 20; i++) await layout.tag(process.argv[1] + ':' + i, ${JSON.stringify(manifest)});
  `;
  const children = ['a', 'b', 'c', 'd'].map((name) =>
    spawn(process.execPath, ['--input-type=module', '-e', script, name], { stdio: 'inherit' }),
  );
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number));
  expect(codes).toEqual([0, 0, 0, 0]);
  expect(layout.names()).toHaveLength(80);
  expect(readdirSync(folder).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
});

test('an image of several platforms gives that of this machine', async () => {
  const layout = await ImageLayout.make(folder);
  const [one, two] = [await withImage(layout, 'one'), await withImage(layout, 'two')];
  const platform = (architecture: string) => ({ os: 'linux', architecture });
  const index = (architecture: string) =>
    layout.putBytes(
      canonicalJson({
        schemaVersion: 2,
        manifests: [
          { ...one.manifest, platform: platform('s390x') },
          { ...two.manifest, platform: platform(architecture) },
        ],
      }),
      MEDIA_TYPES.index,
    );
  await layout.tag('a', await index(ARCHITECTURE));
  expect((await layout.image('a')).descriptor.digest).toBe(two.manifest.digest);
  await layout.tag('b', await index('riscv64'));
  await expect(layout.image('b')).rejects.toThrow(
    `b is not for linux/${ARCHITECTURE}: it is for linux/s390x, linux/riscv64`,
  );
});

test('what is damaged on the disk is not read, and what was refused leaves nothing', async () => {
  const layout = await ImageLayout.make(folder);
  const { layer, manifest } = await withImage(layout, 'one');
  writeFileSync(layout.pathOf(layer.digest), 'two');
  await expect(collected(layout.read(layer), 100, 'it')).rejects.toThrow('is damaged: it has the digest');
  writeFileSync(layout.pathOf(layer.digest), 'longer than it was');
  await expect(collected(layout.read(layer), 100, 'it')).rejects.toThrow('more than 3 of 3 bytes');
  expect(await layout.has(layer)).toBe(false);
  writeFileSync(layout.pathOf(manifest.digest), '{}');
  await layout.tag('a', manifest);
  await expect(layout.image('a')).rejects.toThrow('is damaged');

  const before = readdirSync(folder);
  const expected = { mediaType: MEDIA_TYPES.layer, digest: digestOf(Buffer.from('x')), size: 1 };
  const other = (async function* () {
    yield Buffer.from('y');
  })();
  await expect(layout.put(other, MEDIA_TYPES.layer, expected)).rejects.toThrow('is damaged');
  expect(await layout.has(expected)).toBe(false);
  expect(readdirSync(folder)).toEqual(before);
  // Of a process that was killed; process numbers do not go that high.
  writeFileSync(join(folder, '.making-99999999-x'), '');
  await ImageLayout.make(folder);
  expect(readdirSync(folder)).toEqual(before);
});

test('the tar file of an image is the same each time, and is read back', async () => {
  const layout = await ImageLayout.make(join(folder, 'layout'));
  const { layer, manifest } = await withImage(layout, 'x'.repeat(100_000));
  const image = await layout.imageAt(manifest, 'shop:1');
  const [a, b] = [join(folder, 'a.tar'), join(folder, 'b.tar')];
  await writeDockerTar(layout, image, 'shop:1', a);
  await writeDockerTar(layout, image, 'shop:1', b);
  expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
  const read = await readDockerTar(a);
  expect(read.descriptor.digest).toBe(manifest.digest);
  expect((await collected(read.blob(layer), 200_000, 'it')).length).toBe(100_000);
  writeFileSync(b, readFileSync(a).toString('latin1').replace('xxxx', 'xyxx'), 'latin1');
  const damaged = await readDockerTar(b);
  await expect(collected(damaged.blob(layer), 200_000, 'it')).rejects.toThrow('is damaged');
  writeFileSync(b, 'no tar');
  await expect(readDockerTar(b)).rejects.toThrow(b);
  expect(readdirSync(folder).sort()).toEqual(['a.tar', 'b.tar', 'layout']);
});
