/** The configuration and labels of an artifact's image. */

import type { ImageConfig } from '../../platforms/oci/image.ts';
import { ARCHITECTURE } from '../../platforms/oci/image.ts';
import type { ArtifactConfig, ArtifactSource } from './artifact-config.ts';
import { type ArtifactPart, FORMAT, FORMAT_LABEL, layerLabel } from './artifact-files.ts';

export interface ImageConfigInput {
  readonly config: ArtifactConfig;
  readonly contentDigest: string;
  readonly changeSets: number | undefined;
  readonly isMasked: boolean;
  /** In the order of the image, without those of the base. */
  readonly layers: readonly { readonly part: ArtifactPart; readonly diffId: string }[];
  readonly entrypoint: readonly string[];
  readonly version: string;
  readonly nodeVersion: string | undefined;
  /** ISO 8601. */
  readonly created: string;
  /** Its name only where it is that of a registry: a folder is another one elsewhere. */
  readonly base:
    | { readonly name: string | undefined; readonly digest: string; readonly config: ImageConfig }
    | undefined;
}

export function imageConfigOf(input: ImageConfigInput): ImageConfig {
  const { base, created, layers } = input;
  const history = layers.map(({ part }) => ({ created, created_by: `longshore clone build: ${part}` }));
  return {
    architecture: base?.config.architecture ?? ARCHITECTURE,
    os: 'linux',
    created,
    config: {
      Entrypoint: [...input.entrypoint],
      Env: base?.config.config?.Env ?? ['HOME=/root', 'PATH=/usr/local/bin:/usr/bin:/bin'],
      Labels: { ...base?.config.config?.Labels, ...labelsOf(input) },
      WorkingDir: '/',
      ...(base?.config.config?.['User'] ? { User: base.config.config['User'] } : {}),
    },
    rootfs: {
      type: 'layers',
      diff_ids: [...(base?.config.rootfs.diff_ids ?? []), ...layers.map(({ diffId }) => diffId)],
    },
    history: [...(base?.config.history ?? []), ...history],
  };
}

function labelsOf(input: ImageConfigInput): Record<string, string> {
  const source = sourceText(input.config.source);
  const labels: Record<string, string | undefined> = {
    'org.opencontainers.image.title': input.config.databaseName ?? source,
    'org.opencontainers.image.description': `makes a copy of the database ${source}`,
    'org.opencontainers.image.created': input.created,
    'org.opencontainers.image.base.name': input.base?.name,
    'org.opencontainers.image.base.digest': input.base?.digest,
    [FORMAT_LABEL]: String(FORMAT),
    'io.longshore.version': input.version,
    'io.longshore.node-version': input.nodeVersion,
    'io.longshore.source': source,
    'io.longshore.content-digest': input.contentDigest,
    'io.longshore.changelog.source':
      input.config.changelog?.kind === 'url' ? input.config.changelog.url : undefined,
    'io.longshore.changelog.change-sets': input.changeSets?.toString(),
    'io.longshore.masking': String(input.isMasked),
  };
  for (const { part, diffId } of input.layers) labels[layerLabel(part)] = diffId;
  return Object.fromEntries(
    Object.entries(labels).filter((label): label is [string, string] => label[1] !== undefined),
  );
}

export function sourceText(source: ArtifactSource): string {
  return source.kind === 'aurora' ? source.clusterId : source.url;
}
