/**
 * Builds a database artifact: an image in the local store, without a Docker daemon. The same input makes the same digest,
 * wherever and whenever it is built.
 */

import { LongshoreError } from '../../errors.ts';
import { writeDockerTar } from '../../platforms/oci/docker-tar.ts';
import { canonicalJson, type Descriptor, type Image, MEDIA_TYPES } from '../../platforms/oci/image.ts';
import { ImageLayout } from '../../platforms/oci/image-layout.ts';
import { diffIdOf, gzipped, type LayerFile, tarOf } from '../../platforms/oci/layer.ts';
import { withTag } from '../../platforms/oci/reference.ts';
import {
  ARTIFACT_FOLDER,
  type ArtifactFiles,
  type ArtifactPart,
  contentDigestOf,
  FORMAT_LABEL,
  filesOf,
} from './artifact-files.ts';
import { changeSetsOf } from './collect-changelog.ts';
import type { EmitClone } from './events.ts';
import { imageConfigOf, sourceText } from './image-config.ts';
import {
  DEFAULT_STORE,
  type ImageEnvironment,
  importImage,
  openImage,
  openRegistryImage,
} from './open-image.ts';
import { programLayers } from './program-layers.ts';
import { readInput } from './read-input.ts';

export interface BuildOptions {
  /** The path of the INI file. */
  readonly config: string;
  /** `shop-db:latest` */
  readonly tag: string;
  /** An image that the layers go on top of: of a registry, or `oci:folder[:name]`, or a tar file. */
  readonly base?: string | undefined;
  /** `base` where that image has Node.js 24; else this machine's goes in, where it is one for Linux. */
  readonly node?: 'own' | 'base' | undefined;
  /** Writes a file for `docker load`, too. */
  readonly output?: string | undefined;
}

export interface BuildEnvironment extends ImageEnvironment {
  readonly emit?: EmitClone | undefined;
}

export interface BuiltLayer {
  /** `base` is one of the image below. */
  readonly part: ArtifactPart | 'base';
  readonly digest: string;
  /** Bytes, compressed. */
  readonly size: number;
}

export interface BuiltArtifact {
  readonly reference: string;
  readonly digest: string;
  readonly contentDigest: string;
  /** Whether the tag named the same before. */
  readonly existed: boolean;
  readonly store: string;
  readonly output: string | undefined;
  readonly source: string;
  readonly changelogFiles: number;
  readonly changeSets: number | undefined;
  readonly layers: readonly BuiltLayer[];
}

/** @throws CONFIG_INVALID, CHECK_FAILED, STORE_* of a base, JOURNAL_UNWRITABLE */
export async function buildArtifact(
  options: BuildOptions,
  environment: BuildEnvironment,
): Promise<BuiltArtifact> {
  const { env, signal, emit, store = DEFAULT_STORE } = environment;
  const reference = withTag(options.tag);
  const created = createdAt(env);
  const input = await readInput(options.config, signal);
  const files = filesOf(input);
  const contentDigest = contentDigestOf(new Map([...files.configuration, ...files.changelog]));
  const changeSets = input.changelog === undefined ? undefined : changeSetsOf(input.changelog);
  const layout = await ImageLayout.make(store);
  emit?.({ type: 'phase', phase: 'bundle the program' });
  const program = await programLayers(options.base !== undefined, options.node, signal);
  const base = options.base === undefined ? undefined : await takeBase(options.base, layout, environment);
  emit?.({ type: 'phase', phase: 'write the layers' });
  const parts: [ArtifactPart, readonly LayerFile[]][] = [
    // What changes seldom stands below what changes often: a registry has it already.
    ...(program.runtime === undefined
      ? []
      : [['runtime', program.runtime] as [ArtifactPart, readonly LayerFile[]]]),
    ['program', program.program],
    ...(files.changelog.size === 0
      ? []
      : [['changelog', layerFiles(files.changelog)] as [ArtifactPart, readonly LayerFile[]]]),
    ['configuration', layerFiles(files.configuration)],
  ];
  const known = await knownLayers(layout);
  const layers: { part: ArtifactPart; diffId: string; descriptor: Descriptor }[] = [];
  for (const [part, content] of parts) {
    signal?.throwIfAborted();
    const diffId = await diffIdOf(content);
    const before = known.get(diffId);
    const descriptor =
      before !== undefined && (await layout.has(before))
        ? before
        : await layout.put(gzipped(tarOf(content)), MEDIA_TYPES.layer);
    layers.push({ part, diffId, descriptor });
  }
  const config = imageConfigOf({
    ...program,
    ...input,
    contentDigest,
    changeSets,
    isMasked: input.masking !== undefined,
    layers,
    created,
    base,
  });
  const baseLayers = base?.image.manifest.layers ?? [];
  const manifest = await layout.putBytes(
    canonicalJson({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.manifest,
      config: await layout.putBytes(canonicalJson(config), MEDIA_TYPES.config),
      layers: [
        ...baseLayers.map(({ digest, size, mediaType }) => ({
          digest,
          size,
          mediaType: ociLayer(mediaType),
        })),
        ...layers.map(({ part, descriptor: { digest, size, mediaType } }) => ({
          mediaType,
          digest,
          size,
          annotations: { 'io.longshore.part': part },
        })),
      ],
    }),
    MEDIA_TYPES.manifest,
  );
  const existed = layout
    .names()
    .some((one) => one.name === reference && one.descriptor.digest === manifest.digest);
  await layout.tag(reference, manifest, signal);
  if (options.output !== undefined) {
    emit?.({ type: 'phase', phase: `write ${options.output}` });
    await writeDockerTar(layout, await layout.imageAt(manifest, reference), reference, options.output);
  }
  return {
    reference,
    digest: manifest.digest,
    contentDigest,
    existed,
    store,
    output: options.output,
    source: sourceText(input.config.source),
    changelogFiles: input.changelog?.files.length ?? 0,
    changeSets,
    layers: [
      ...baseLayers.map(({ digest, size }) => ({ part: 'base' as const, digest, size })),
      ...layers.map(({ part, descriptor: { digest, size } }) => ({ part, digest, size })),
    ],
  };
}

/** https://reproducible-builds.org/specs/source-date-epoch/ */
function createdAt(env: ImageEnvironment['env']): string {
  const text = env['SOURCE_DATE_EPOCH'] || '0';
  const date = new Date(Number(text) * 1000);
  if (!/^\d+$/.test(text) || Number.isNaN(date.getTime()))
    throw new LongshoreError(
      'CONFIG_INVALID',
      `cannot read SOURCE_DATE_EPOCH "${text}" as seconds since 1970`,
    );
  return date.toISOString().replace('.000Z', 'Z');
}

function layerFiles(files: ArtifactFiles): LayerFile[] {
  return [...files].map(([path, content]) => ({ path: `${ARTIFACT_FOLDER}/${path}`, content }));
}

/** Layers of other artifacts: to compress a program once is enough. */
async function knownLayers(layout: ImageLayout): Promise<Map<string, Descriptor>> {
  const known = new Map<string, Descriptor>();
  for (const { name, descriptor } of layout.names()) {
    const image = await layout.imageAt(descriptor, name).catch((error: unknown) => {
      // A damaged one is of no use, and no reason to make none.
      if (error instanceof LongshoreError) return undefined;
      throw error;
    });
    if (image === undefined) continue;
    const { manifest, config } = image;
    for (const [i, { digest, size, mediaType }] of manifest.layers.entries()) {
      const diffId = config.rootfs.diff_ids[i];
      if (diffId !== undefined) known.set(diffId, { digest, size, mediaType });
    }
  }
  return known;
}

async function takeBase(
  reference: string,
  layout: ImageLayout,
  environment: BuildEnvironment,
): Promise<{ name: string | undefined; digest: string; config: Image['config']; image: Image }> {
  environment.emit?.({ type: 'phase', phase: `pull ${reference}` });
  const isLocal = /^oci:|^docker-archive:|\.tar$/.test(reference);
  await using opened = await (isLocal ? openImage : openRegistryImage)(reference, environment);
  const { image } = opened;
  if (image.config.os !== 'linux')
    throw new LongshoreError(
      'CHECK_FAILED',
      `${reference} is an image for ${image.config.os}, not for Linux`,
    );
  if (image.config.config?.Labels?.[FORMAT_LABEL] !== undefined)
    throw new LongshoreError(
      'CONFIG_INVALID',
      `${reference} is an artifact itself, whose changelog would be mixed with this one`,
      {
        hint: 'name with --base the image that it was built on',
      },
    );
  await importImage(layout, image);
  return {
    name: isLocal ? undefined : image.name,
    digest: image.descriptor.digest,
    config: image.config,
    image,
  };
}

/** An image does not mix media types of Docker with those of the OCI; the content is the same. */
function ociLayer(mediaType: string): string {
  return mediaType === 'application/vnd.docker.image.rootfs.diff.tar.gzip' ? MEDIA_TYPES.layer : mediaType;
}
