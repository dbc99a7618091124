/**
 * An image in one file: what `docker load` reads, and an OCI image layout as well, as `docker save` writes it since
 * Docker 25. The same image is the same file.
 */

import { createReadStream, createWriteStream, renameSync, rmSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { LongshoreError, messageOf } from '../../errors.ts';
import { diskError } from '../../flow/disk-error.ts';
import {
  canonicalJson,
  type Descriptor,
  type Image,
  isIndex,
  MEDIA_TYPES,
  parseImageConfig,
  parseIndex,
  parseManifest,
  pickPlatform,
} from './image.ts';
import { type ImageLayout, REF_NAME } from './image-layout.ts';
import { type LayerFile, tarOf } from './layer.ts';
import { collected, DOCUMENT_BYTES_MAX, verified } from './verified.ts';

/** @param name `shop-db:latest`, which Docker gives it @throws JOURNAL_UNWRITABLE */
export async function writeDockerTar(
  layout: ImageLayout,
  image: Image,
  name: string,
  path: string,
): Promise<void> {
  const { manifest, descriptor } = image;
  const unique = new Map([descriptor, manifest.config, ...manifest.layers].map((one) => [one.digest, one]));
  const files: LayerFile[] = [
    ...[...unique.values()].map(({ digest, size }) => ({
      path: pathOf(digest),
      content: { file: layout.pathOf(digest), size },
    })),
    { path: 'oci-layout', content: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    {
      path: 'index.json',
      content: canonicalJson({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.index,
        manifests: [{ ...descriptor, annotations: { [REF_NAME]: name, 'io.containerd.image.name': name } }],
      }),
    },
    {
      path: 'manifest.json',
      content: canonicalJson([
        {
          Config: pathOf(manifest.config.digest),
          RepoTags: [name],
          Layers: manifest.layers.map(({ digest }) => pathOf(digest)),
        },
      ]),
    },
  ];
  const making = `${path}.making-${process.pid}`;
  try {
    await pipeline(tarOf(files), createWriteStream(making));
    renameSync(making, path);
  } catch (error) {
    rmSync(making, { force: true });
    throw diskError(error, 'write', path);
  }
}

/** @throws CONFIG_INVALID where it is none */
export async function readDockerTar(path: string): Promise<Image> {
  const index = await memberOf(path, 'index.json');
  if (index === undefined)
    throw new LongshoreError('CONFIG_INVALID', `${path} holds no OCI image layout`, {
      hint: 'write it with longshore clone build --output, or with docker save of Docker 25 or newer',
    });
  return await imageAt(path, pickPlatform(parseIndex(index, path), path));
}

async function imageAt(path: string, descriptor: Descriptor): Promise<Image> {
  const blob = (one: Descriptor) => verified(membersOf(path, pathOf(one.digest)), one, path);
  const bytes = await collected(blob(descriptor), DOCUMENT_BYTES_MAX, descriptor.digest);
  if (isIndex(descriptor.mediaType)) return await imageAt(path, pickPlatform(parseIndex(bytes, path), path));
  const manifest = parseManifest(bytes, path);
  const config = await collected(blob(manifest.config), DOCUMENT_BYTES_MAX, manifest.config.digest);
  return {
    name: path,
    descriptor,
    manifest,
    manifestBytes: bytes,
    config: parseImageConfig(config, path),
    blob,
  };
}

const pathOf = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

async function memberOf(path: string, name: string): Promise<Buffer | undefined> {
  const bytes = await collected(membersOf(path, name), DOCUMENT_BYTES_MAX, `${name} of ${path}`);
  return bytes.length === 0 ? undefined : bytes;
}

/** The content of one file of the archive; nothing where it is not there. */
async function* membersOf(path: string, name: string): AsyncGenerator<Uint8Array> {
  const file = createReadStream(path);
  const archive = extract();
  // Where the archive is left early, its file ends with it.
  const reading = pipeline(file, archive).catch((error: Error) => {
    archive.destroy(error);
  });
  try {
    for await (const entry of archive) {
      if (entry.header.name === name) {
        yield* entry as AsyncIterable<Uint8Array>;
        return;
      }
      entry.resume();
    }
  } catch (error) {
    if (error instanceof LongshoreError) throw error;
    throw new LongshoreError('CONFIG_INVALID', `cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'name the tar file of an image',
    });
  } finally {
    archive.destroy();
    file.destroy();
    await reading;
  }
}
