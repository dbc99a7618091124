/** Database artifacts, as a person reads them. */

import { formatBytes } from '../config/bytes.ts';
import { formatDuration } from '../config/duration.ts';
import type { BuiltArtifact } from '../jobs/clone/build.ts';
import type { ArtifactDifference, ConfigDifference, FileDifference } from '../jobs/clone/diff.ts';
import type { InspectedArtifact } from '../jobs/clone/inspect.ts';
import type { PublishedArtifact } from '../jobs/clone/publish.ts';

export function builtText(built: BuiltArtifact): string {
  const changelog =
    built.changeSets === undefined
      ? 'no changelog'
      : `a changelog of ${counted(built.changeSets, 'change set')} in ${counted(built.changelogFiles, 'file')}`;
  return [
    `${built.reference}: ${built.digest}${built.existed ? ', as it was' : ''}`,
    `of ${built.source}, with ${changelog}; in ${built.store}`,
    ...layerLines(built.layers),
    ...(built.output === undefined ? [] : [`docker load --input ${built.output}`]),
    `next: longshore clone publish ${built.reference} <registry>/<repository>:<tag>`,
  ].join('\n');
}

export function publishedText({
  reference,
  pinned,
  existed,
  blobs,
  uploadedBytes,
}: PublishedArtifact): string {
  const count = (how: string): number => blobs.filter((blob) => blob.how === how).length;
  const ways = [
    `${formatBytes(uploadedBytes)} in ${counted(count('uploaded'), 'blob')} sent`,
    `${count('there')} there already`,
    ...(count('mounted') === 0 ? [] : [`${count('mounted')} mounted`]),
  ];
  return `${reference}${existed ? ' was published already' : ' is published'}: ${ways.join(', ')}\n${pinned}`;
}

export function inspectedText(inspected: InspectedArtifact): string {
  const { config, changelog } = inspected;
  const lines = [
    `${inspected.reference}: ${inspected.digest}`,
    `content  ${inspected.contentDigest}`,
    `image    ${inspected.platform}, ${formatBytes(inspected.bytes)}, created ${inspected.created ?? 'at no stated time'}`,
    '',
    'configuration',
    ...settingsOf('', config),
    '',
  ];
  if (changelog === undefined) lines.push('no changelog');
  else {
    lines.push(`changelog: ${counted(changelog.changeSets, 'change set')}, begins with ${changelog.entry}`);
    for (const { path, bytes } of changelog.files) lines.push(`  ${path}  ${formatBytes(bytes)}`);
  }
  lines.push(
    '',
    inspected.masking === undefined
      ? 'no masking rules'
      : `masking rules\n${indented(inspected.masking.trimEnd())}`,
  );
  lines.push('', 'layers', ...layerLines(inspected.layers), '', 'labels');
  for (const [label, value] of Object.entries(inspected.labels).sort(([a], [b]) => (a < b ? -1 : 1)))
    lines.push(`  ${label} = ${value}`);
  return printable(lines.join('\n'));
}

export function differenceText(difference: ArtifactDifference): string {
  const { left, right, sameContent, config, files, masking, program } = difference;
  if (left.digest === right.digest)
    return `${left.reference} and ${right.reference} are the same: ${left.digest}`;
  const lines = [`- ${left.reference} ${left.digest}`, `+ ${right.reference} ${right.digest}`];
  if (sameContent) lines.push('configuration, changelog and masking are the same');
  if (config.length > 0) lines.push('', 'configuration', ...config.flatMap(settingLines));
  if (files.length > 0) lines.push('', 'changelog', ...files.map(fileText));
  if (masking !== undefined) lines.push('', 'masking', fileText(masking));
  if (program.length > 0) lines.push('', 'program', ...program.flatMap(settingLines));
  return printable(lines.join('\n'));
}

/** Whoever made an artifact may be a stranger: what would steer a terminal is shown instead. */
function printable(text: string): string {
  return text.replace(/[^\P{C}\n\t]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

function layerLines(layers: BuiltArtifact['layers']): string[] {
  return layers.map(
    ({ part, digest, size }) => `  ${part.padEnd(13)} ${digest.slice(0, 19)}  ${formatBytes(size)}`,
  );
}

/** `key: value`, those that are not set left out. */
function settingsOf(prefix: string, value: unknown): string[] {
  if (value === undefined) return [];
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return [`  ${settingText(prefix, value)}`];
  return Object.entries(value).flatMap(([key, part]) =>
    settingsOf(prefix === '' ? key : `${prefix}.${key}`, part),
  );
}

function settingLines({ key, left, right }: ConfigDifference): string[] {
  return [
    ...(left === undefined ? [] : [`- ${settingText(key, left)}`]),
    ...(right === undefined ? [] : [`+ ${settingText(key, right)}`]),
  ];
}

function fileText({ path, change, diff }: FileDifference): string {
  return diff === undefined ? `${path}: ${change}, and no text` : diff;
}

/** Durations as people write them, under the name that they have in the INI file. */
function settingText(key: string, value: unknown): string {
  if (key === 'ttlMs' && typeof value === 'number')
    return `ttl: ${value === 0 ? 'until it is dropped' : formatDuration(value)}`;
  return `${key}: ${shown(value)}`;
}

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
const indented = (text: string): string => text.replace(/^/gm, '  ');
const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
