/** Where the parts of an artifact are in its image, and the artifact that they make. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { LongshoreError } from '../../errors.ts';
import { canonicalJson } from '../../platforms/oci/image.ts';
import type { Artifact, Changelog } from './artifact.ts';
import { type ArtifactConfig, parseArtifactConfig } from './artifact-config.ts';

/** In the image. */
export const ARTIFACT_FOLDER = 'longshore/artifact';

/** A part is a layer; a label names it, since registries and programs keep labels, whatever else they rewrite. */
export type ArtifactPart = 'configuration' | 'changelog' | 'runtime' | 'program';
export const PARTS: readonly ArtifactPart[] = ['runtime', 'program', 'configuration', 'changelog'];
export const layerLabel = (part: ArtifactPart): string => `io.longshore.layer.${part}`;

export const FORMAT_LABEL = 'io.longshore.format';
export const FORMAT = 1;

/** Below the artifact's folder, by their paths. */
export type ArtifactFiles = ReadonlyMap<string, Buffer>;

const INI = 'artifact-config.ini';
const MASKING = 'masking.yaml';
const ABOUT = 'artifact.json';
const CHANGELOG = 'changelog/';

export interface ArtifactInput {
  readonly ini: string;
  readonly config: ArtifactConfig;
  readonly changelog: Changelog | undefined;
  readonly masking: string | undefined;
}

/** @returns the files of the layers `configuration` and `changelog` */
export function filesOf({ ini, config, changelog, masking }: ArtifactInput): {
  readonly configuration: ArtifactFiles;
  readonly changelog: ArtifactFiles;
} {
  const configuration = new Map([
    [ABOUT, canonicalJson({ format: FORMAT, changelog: changelog?.entry }, 2)],
    // For other readers; Longshore reads the INI file.
    ['config.json', canonicalJson(config, 2)],
    [INI, Buffer.from(ini)],
  ]);
  if (masking !== undefined) configuration.set(MASKING, Buffer.from(masking));
  const files = (changelog?.files ?? []).map(({ path, bytes }) => [CHANGELOG + path, bytes] as const);
  return { configuration, changelog: new Map(files) };
}

/** @param digest of the manifest; undefined within the image, which cannot know it @throws CONFIG_INVALID */
export function artifactOf(files: ArtifactFiles, reference: string, digest: string | undefined): Artifact {
  const ini = files.get(INI)?.toString('utf8');
  const about = files.get(ABOUT)?.toString('utf8');
  if (ini === undefined || about === undefined)
    throw new LongshoreError(
      'CONFIG_INVALID',
      `${reference} is no database artifact: it holds no ${ini === undefined ? INI : ABOUT}`,
      {
        hint: 'build one with longshore clone build',
      },
    );
  const entry = entryOf(about, reference);
  const changelogFiles = [...files]
    .filter(([path]) => path.startsWith(CHANGELOG))
    .map(([path, bytes]) => ({ path: path.slice(CHANGELOG.length), bytes }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  // Whoever pushed it may not be the one who is trusted: these become files on the disk of whoever applies the changelog.
  const stray = changelogFiles.find(({ path }) => !isBelow(path));
  if (stray !== undefined || (entry !== undefined && !changelogFiles.some(({ path }) => path === entry)))
    throw new LongshoreError(
      'CONFIG_INVALID',
      `cannot use ${reference}: its changelog ${stray === undefined ? `has no ${entry}` : `has the path ${stray.path}`}`,
      { hint: 'build it again' },
    );
  const contentDigest = contentDigestOf(files);
  return {
    reference,
    digest: digest ?? contentDigest,
    contentDigest,
    config: parseArtifactConfig(ini, `${INI} of ${reference}`),
    changelog: entry === undefined ? undefined : { entry, files: changelogFiles },
    masking: files.get(MASKING)?.toString('utf8'),
  };
}

export function contentDigestOf(files: ArtifactFiles): string {
  const hash = createHash('sha256');
  for (const [path, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${path}\0${createHash('sha256').update(bytes).digest('hex')}\n`);
  return `sha256:${hash.digest('hex')}`;
}

function entryOf(about: string, reference: string): string | undefined {
  try {
    return z.object({ changelog: z.string().optional() }).parse(JSON.parse(about)).changelog;
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read ${ABOUT} of ${reference}`, {
      cause: error,
      hint: 'build it again',
    });
  }
}

const isBelow = (path: string): boolean =>
  path.split(/[/\\]/).every((part) => part !== '' && part !== '.' && part !== '..') && !/^[a-z]:/i.test(path);
