/** Publishes an artifact to a registry: what it has is not sent again, the manifest comes last. */

import { createReadStream } from 'node:fs';
import { LongshoreError } from '../../errors.ts';
import type { Descriptor } from '../../platforms/oci/image.ts';
import { ImageLayout } from '../../platforms/oci/image-layout.ts';
import { parseImageReference, referenceText } from '../../platforms/oci/reference.ts';
import { type PushedBlob, Registry } from '../../platforms/oci/registry.ts';
import { FORMAT_LABEL } from './artifact-files.ts';
import type { EmitClone } from './events.ts';
import { DEFAULT_STORE, type ImageEnvironment, importImage, openImage } from './open-image.ts';

/** What takes a while is told before, too. */
const TOLD_BYTES = 10_000_000;

export interface PublishOptions {
  /** As of `openImage`. */
  readonly artifact: string;
  /** `registry.example/team/shop-db:1.4` */
  readonly to: string;
  /** Repositories of the same registry that may have its layers already. */
  readonly mountFrom?: readonly string[] | undefined;
  /** Sends chunks of that size; else as one stream, as Docker does. */
  readonly chunkBytes?: number | undefined;
}

export interface PublishEnvironment extends ImageEnvironment {
  readonly emit?: EmitClone | undefined;
}

export interface PublishedArtifact {
  /** With its digest: `registry.example/team/shop-db@sha256:…`. */
  readonly pinned: string;
  readonly reference: string;
  readonly digest: string;
  /** Whether the tag named the same before. */
  readonly existed: boolean;
  readonly blobs: readonly { readonly digest: string; readonly size: number; readonly how: PushedBlob }[];
  readonly uploadedBytes: number;
}

/** May be run again at any time: what was sent stays sent. @throws CONFIG_INVALID, URL_INVALID, STORE_* */
export async function publishArtifact(
  { artifact, to, mountFrom = [], chunkBytes }: PublishOptions,
  environment: PublishEnvironment,
): Promise<PublishedArtifact> {
  const { env, signal, plainHttp, emit, store = DEFAULT_STORE } = environment;
  const target = parseImageReference(to);
  if (!target.isExplicit || target.digest !== undefined)
    throw new LongshoreError(
      'URL_INVALID',
      `cannot publish to "${to}": it names ${target.isExplicit ? 'a digest' : 'no registry'}`,
      {
        hint: 'write registry.example/team/shop-db:1.4',
      },
    );
  await using opened = await openImage(artifact, environment);
  const { image } = opened;
  const labels = image.config.config?.Labels ?? {};
  if (labels[FORMAT_LABEL] === undefined)
    throw new LongshoreError('CONFIG_INVALID', `${artifact} is no database artifact`, {
      hint: 'build one with longshore clone build',
    });
  const layout = await ImageLayout.make(store);
  if (opened.place !== 'store') await importImage(layout, image);
  const layers = image.manifest.layers;
  const unique = new Map([...layers, image.manifest.config].map((one) => [one.digest, one]));
  const mounts = [
    ...mountFrom,
    ...baseRepository(labels['org.opencontainers.image.base.name'], target.registry),
  ];
  const from = mounts.filter((repository) => repository !== target.repository);
  await using registry = new Registry(target, 'pull,push', { env, signal, plainHttp });
  const blobs: PublishedArtifact['blobs'][number][] = [];
  for (const descriptor of unique.values()) {
    const { digest, size } = descriptor;
    const what = `${descriptor.annotations?.['io.longshore.part'] ?? (layers.includes(descriptor) ? 'base' : 'image')} ${digest.slice(0, 19)}`;
    if (size >= TOLD_BYTES) emit?.({ type: 'step', what, state: 'begins' });
    const how = await registry.pushBlob(uploadable(layout, descriptor), { mountFrom: from, chunkBytes });
    emit?.({ type: 'step', what, state: how });
    blobs.push({ digest, size, how });
  }
  const { digest, mediaType } = image.descriptor;
  const existed = (await registry.digestOfTag()) === digest;
  if (!existed) await registry.pushManifest(image.manifestBytes, mediaType);
  return {
    pinned: referenceText({ ...target, digest }),
    reference: referenceText(target),
    digest,
    existed,
    blobs,
    uploadedBytes: blobs.reduce((sum, { how, size }) => sum + (how === 'uploaded' ? size : 0), 0),
  };
}

function uploadable(layout: ImageLayout, { digest, size }: Descriptor) {
  const path = layout.pathOf(digest);
  return {
    digest,
    size,
    read: (from: number, to: number) => createReadStream(path, { start: from, end: to - 1 }),
  };
}

/** An image below of the same registry has its layers there. */
function baseRepository(base: string | undefined, registry: string): string[] {
  if (base === undefined) return [];
  const parsed = parseImageReference(base);
  return parsed.registry === registry ? [parsed.repository] : [];
}
