/** Opens a database artifact, wherever it is; of its image only the small layers are read. */

import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import type { Image } from '../../platforms/oci/image.ts';
import { filesOfLayer } from '../../platforms/oci/layer.ts';
import type { Artifact } from './artifact.ts';
import type { ArtifactConfig } from './artifact-config.ts';
import {
  ARTIFACT_FOLDER,
  type ArtifactPart,
  artifactOf,
  FORMAT,
  FORMAT_LABEL,
  layerLabel,
} from './artifact-files.ts';
import { type ImageEnvironment, openImage } from './open-image.ts';

/**
 * @param reference as of {@link openImage}
 * @throws CONFIG_INVALID where it is nowhere, or no artifact; STORE_*
 */
export async function openArtifact(reference: string, environment: ImageEnvironment): Promise<Artifact> {
  await using opened = await openImage(reference, environment);
  return await artifactOfImage(opened.image, reference);
}

/** Within the image, where its files lie on the disk. @throws CONFIG_INVALID */
export async function openArtifactFolder(folder: string): Promise<Artifact> {
  const files = new Map<string, Buffer>();
  try {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      files.set(relative(folder, path).split(sep).join('/'), await readFile(path));
    }
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read the artifact in ${folder}: ${messageOf(error)}`, {
      cause: error,
      hint: 'run this program in the image that longshore clone build made',
    });
  }
  const artifact = artifactOf(files, 'this image', undefined);
  // Nobody within knows what the image is called, and those of two databases are to make two clones.
  return { ...artifact, reference: nameOf(artifact.config) };
}

function nameOf({ source, databaseName }: ArtifactConfig): string {
  const of =
    source.kind === 'aurora'
      ? source.clusterId.replace(/^.*:/, '')
      : parseDatabaseUrl(source.url, {}).connection.database;
  return databaseName ?? of;
}

const FILES_BYTES_MAX = 300 * 1024 * 1024;

export async function artifactOfImage(image: Image, reference: string): Promise<Artifact> {
  const format = image.config.config?.Labels?.[FORMAT_LABEL];
  if (format === undefined)
    throw new LongshoreError(
      'CONFIG_INVALID',
      `${reference} is an image, but no database artifact: it has no label ${FORMAT_LABEL}`,
      {
        hint: 'build one with longshore clone build',
      },
    );
  if (!(Number(format) <= FORMAT))
    throw new LongshoreError(
      'CONFIG_INVALID',
      `${reference} was built by a newer Longshore: its format is ${format}, and this one reads up to ${FORMAT}`,
      {
        hint: 'update Longshore',
      },
    );
  const files = new Map<string, Buffer>();
  for (const part of ['configuration', 'changelog'] as const) {
    for (const [path, bytes] of await filesOfPart(image, part, reference)) {
      if (path.startsWith(`${ARTIFACT_FOLDER}/`)) files.set(path.slice(ARTIFACT_FOLDER.length + 1), bytes);
    }
  }
  return artifactOf(files, reference, image.descriptor.digest);
}

async function filesOfPart(
  image: Image,
  part: ArtifactPart,
  reference: string,
): Promise<ReadonlyMap<string, Buffer>> {
  const diffId = image.config.config?.Labels?.[layerLabel(part)];
  if (diffId === undefined) return new Map();
  const layer = image.manifest.layers[image.config.rootfs.diff_ids.lastIndexOf(diffId)];
  if (layer === undefined)
    throw new LongshoreError('STORE_RESPONSE', `${reference} has no layer ${diffId}, which is its ${part}`);
  return await filesOfLayer(image.blob(layer), {
    diffId,
    bytesMax: FILES_BYTES_MAX,
    what: `the layer ${part} of ${reference}`,
  });
}
