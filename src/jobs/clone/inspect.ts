/** What is in an artifact. */

import type { ArtifactConfig } from './artifact-config.ts';
import { type ArtifactPart, layerLabel, PARTS } from './artifact-files.ts';
import { changeSetsOf } from './collect-changelog.ts';
import { artifactOfImage } from './open-artifact.ts';
import { type ImageEnvironment, openImage } from './open-image.ts';

export interface InspectedArtifact {
  readonly reference: string;
  readonly place: 'store' | 'folder' | 'file' | 'registry';
  readonly digest: string;
  readonly contentDigest: string;
  readonly created: string | undefined;
  readonly platform: string;
  readonly config: ArtifactConfig;
  readonly changelog:
    | {
        readonly entry: string;
        readonly changeSets: number;
        readonly files: readonly { readonly path: string; readonly bytes: number }[];
      }
    | undefined;
  /** Rules in YAML. */
  readonly masking: string | undefined;
  /** In the order of the image; `base` is one of the image below. */
  readonly layers: readonly {
    readonly part: ArtifactPart | 'base';
    readonly digest: string;
    readonly size: number;
  }[];
  readonly bytes: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** @param reference as of `openImage` @throws CONFIG_INVALID, STORE_* */
export async function inspectArtifact(
  reference: string,
  environment: ImageEnvironment,
): Promise<InspectedArtifact> {
  await using opened = await openImage(reference, environment);
  const { image, place } = opened;
  const artifact = await artifactOfImage(image, reference);
  const labels = image.config.config?.Labels ?? {};
  const partOf = new Map(PARTS.map((part) => [labels[layerLabel(part)], part]));
  const layers = image.manifest.layers.map(({ digest, size }, i) => ({
    part: partOf.get(image.config.rootfs.diff_ids[i]) ?? ('base' as const),
    digest,
    size,
  }));
  const { changelog } = artifact;
  return {
    reference,
    place,
    digest: artifact.digest,
    contentDigest: artifact.contentDigest,
    created: image.config.created,
    platform: `${image.config.os}/${image.config.architecture}`,
    config: artifact.config,
    changelog:
      changelog === undefined
        ? undefined
        : {
            entry: changelog.entry,
            changeSets: changeSetsOf(changelog),
            files: changelog.files.map(({ path, bytes }) => ({ path, bytes: bytes.length })),
          },
    masking: artifact.masking,
    layers,
    bytes: layers.reduce((sum, { size }) => sum + size, 0),
    labels,
  };
}
