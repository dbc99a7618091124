/** In what two artifacts differ: the configuration by its keys, the changelog and the masking rules by their lines, the program. */

import type { Artifact } from './artifact.ts';
import type { ArtifactConfig } from './artifact-config.ts';
import { artifactOfImage } from './open-artifact.ts';
import { type ImageEnvironment, openImage } from './open-image.ts';
import { unifiedDiff } from './unified-diff.ts';

export interface ConfigDifference {
  /** `aurora.instanceType` */
  readonly key: string;
  /** Undefined where it is not set. */
  readonly left: unknown;
  readonly right: unknown;
}

export interface FileDifference {
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** Unified; undefined where a side is no text. */
  readonly diff: string | undefined;
}

export interface ArtifactDifference {
  readonly left: { readonly reference: string; readonly digest: string };
  readonly right: { readonly reference: string; readonly digest: string };
  /** Whether a copy that is made of either is the same. */
  readonly sameContent: boolean;
  readonly config: readonly ConfigDifference[];
  /** Those of the changelog. */
  readonly files: readonly FileDifference[];
  readonly masking: FileDifference | undefined;
  /** Labels of the image that tell of the program: versions, and the digests of its layers. */
  readonly program: readonly ConfigDifference[];
}

/** @param references as of `openImage` @throws CONFIG_INVALID, STORE_* */
export async function diffArtifacts(
  references: readonly [string, string],
  environment: ImageEnvironment,
): Promise<ArtifactDifference> {
  const [left, right] = [await opened(references[0], environment), await opened(references[1], environment)];
  const masking = filesDiffer(maskingOf(left.artifact), maskingOf(right.artifact), references);
  return {
    left: { reference: references[0], digest: left.artifact.digest },
    right: { reference: references[1], digest: right.artifact.digest },
    sameContent: left.artifact.contentDigest === right.artifact.contentDigest,
    config: keysDiffer(flat(left.artifact.config), flat(right.artifact.config)),
    files: filesDiffer(changelogOf(left.artifact), changelogOf(right.artifact), references),
    masking: masking[0],
    program: keysDiffer(programOf(left.labels), programOf(right.labels)),
  };
}

interface Opened {
  readonly artifact: Artifact;
  readonly labels: Readonly<Record<string, string>>;
}

async function opened(reference: string, environment: ImageEnvironment): Promise<Opened> {
  await using image = await openImage(reference, environment);
  return {
    artifact: await artifactOfImage(image.image, reference),
    labels: image.image.config.config?.Labels ?? {},
  };
}

const PROGRAM_LABELS = [
  'io.longshore.version',
  'io.longshore.node-version',
  'io.longshore.layer.program',
  'io.longshore.layer.runtime',
  'org.opencontainers.image.base.name',
  'org.opencontainers.image.base.digest',
];

const programOf = (labels: Readonly<Record<string, string>>): Map<string, unknown> =>
  new Map(PROGRAM_LABELS.map((label) => [label, labels[label]]));

/** `aurora.tags.team` → its value. Lists are values. */
function flat(config: ArtifactConfig): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const add = (prefix: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) found.set(prefix, value);
    else for (const [key, part] of Object.entries(value)) add(prefix === '' ? key : `${prefix}.${key}`, part);
  };
  add('', config);
  return found;
}

function keysDiffer(
  left: ReadonlyMap<string, unknown>,
  right: ReadonlyMap<string, unknown>,
): ConfigDifference[] {
  return [...new Set([...left.keys(), ...right.keys()])].sort().flatMap((key) => {
    const difference = { key, left: left.get(key), right: right.get(key) };
    return JSON.stringify(difference.left) === JSON.stringify(difference.right) ? [] : [difference];
  });
}

type Files = ReadonlyMap<string, Buffer>;

const changelogOf = ({ changelog }: Artifact): Files =>
  new Map((changelog?.files ?? []).map(({ path, bytes }) => [path, bytes]));
const maskingOf = ({ masking }: Artifact): Files =>
  new Map(masking === undefined ? [] : [['masking.yaml', Buffer.from(masking)]]);

function filesDiffer(
  left: Files,
  right: Files,
  [nameLeft, nameRight]: readonly [string, string],
): FileDifference[] {
  return [...new Set([...left.keys(), ...right.keys()])].sort().flatMap((path): FileDifference[] => {
    const [before, after] = [left.get(path), right.get(path)];
    if (before !== undefined && after?.equals(before) === true) return [];
    const change = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';
    const texts = [before, after].map((bytes) => (bytes === undefined ? '' : textOf(bytes)));
    const [from, to] = texts;
    const names = [
      before === undefined ? '/dev/null' : `${nameLeft}/${path}`,
      after === undefined ? '/dev/null' : `${nameRight}/${path}`,
    ] as const;
    return [
      {
        path,
        change,
        diff: from === undefined || to === undefined ? undefined : unifiedDiff(from, to, names),
      },
    ];
  });
}

function textOf(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? undefined : text;
  } catch {
    // Not UTF-8: no text to compare by lines.
    return undefined;
  }
}
