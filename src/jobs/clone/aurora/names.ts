/** What a clone, its stack and its tags are called. */

import { createHash } from 'node:crypto';
import type { CloneMode } from '../clone.ts';

/** Of Aurora: what a clone's cluster may be called. */
export const CLUSTER_NAME_MAX = 63;
const STACK_NAME_MAX = 128;

/** On the stack, and by it on everything in it. Only what has the first is ever changed or deleted. */
export const TAGS = {
  clone: 'longshore:clone',
  owner: 'longshore:owner',
  mode: 'longshore:mode',
  /** ISO 8601; one that lives until it is dropped has none. */
  expires: 'longshore:expires',
  source: 'longshore:source',
  artifact: 'longshore:artifact',
  costADay: 'longshore:cost-a-day',
  /** That the deletion protection is ours, and may be taken off to delete it. */
  protected: 'longshore:protected',
  /** Of the cluster alone, once it was handed out: ISO 8601. */
  ready: 'longshore:ready',
} as const;

/**
 * The same for the same artifact, mode and owner, and always legal.
 * @param reference `registry.example/team/shop-db:1.4`
 */
export function defaultCloneName(reference: string, mode: CloneMode, owner: string): string {
  const image = reference
    .replace(/@.*$/, '')
    .replace(/:[^/:]*$/, '')
    .split('/')
    .at(-1)!;
  const plain = (text: string): string =>
    text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '');
  const name = [plain(image), mode, plain(owner)].filter((part) => part !== '').join('-');
  const legal = /^[a-z]/.test(name) ? name : `c-${name}`;
  if (legal.length <= CLUSTER_NAME_MAX) return legal;
  // Two long owners stay two.
  const hash = createHash('sha256').update(legal).digest('hex').slice(0, 8);
  return `${legal.slice(0, CLUSTER_NAME_MAX - 9).replace(/-+$/, '')}-${hash}`;
}

/** Why Aurora would refuse it; undefined where it would not. */
export function clusterNameProblem(name: string): string | undefined {
  if (name === '' || name.length > CLUSTER_NAME_MAX)
    return `has ${name.length} characters, and 1 to ${CLUSTER_NAME_MAX} are allowed`;
  if (!/^[a-z]/i.test(name)) return 'does not begin with a letter';
  if (/[^a-z0-9-]/i.test(name)) return 'holds something else than letters, digits and hyphens';
  if (name.includes('--')) return 'holds two hyphens in a row';
  if (name.endsWith('-')) return 'ends with a hyphen';
  return undefined;
}

export function stackNameProblem(name: string): string | undefined {
  if (name === '' || name.length > STACK_NAME_MAX)
    return `has ${name.length} characters, and 1 to ${STACK_NAME_MAX} are allowed`;
  if (!/^[a-z][a-z0-9-]*$/i.test(name)) return 'is not letters, digits and hyphens that begin with a letter';
  return undefined;
}

export function defaultStackName(cloneName: string): string {
  return `longshore-${cloneName}`;
}

/**
 * Whoever the credentials are of: the same on every machine and in every container.
 * @param arn `arn:aws:iam::123456789012:user/team/fred`
 */
export function ownerOf(arn: string): string {
  const [, kind, rest] = /^arn:[^:]*:[^:]*:[^:]*:[^:]*:([^/]+)\/?(.*)$/.exec(arn) ?? [];
  if (kind !== 'assumed-role') return tagValue(rest?.split('/').at(-1) || kind || 'unknown');
  const [role, session] = rest!.split('/');
  // A session without a name of its own is called by the SDK and the time.
  return tagValue(session === undefined || /-\d{9,}$/.test(session) ? role! : session);
}

/** AWS takes 50, and those of {@link TAGS} are among them. */
export const TAGS_MAX: number = 50 - Object.keys(TAGS).length;

/** Why AWS would refuse it, or it would be taken for one of ours; undefined where neither is so. */
export function tagProblem(key: string, value: string): string | undefined {
  if (/^(?:aws|longshore):/i.test(key)) return `begins with ${key.split(':')[0]}:, which is not for others`;
  if (key.length > 128 || value.length > 256)
    return 'is longer than AWS allows: 128 characters, 256 of the value';
  if (key !== tagValue(key) || value !== tagValue(value))
    return 'holds something else than letters, digits, blanks and _ . : / = + - @';
  return undefined;
}

/** What AWS allows in the value of a tag. */
export function tagValue(text: string): string {
  return text.replace(/[^\p{L}\p{Z}\p{N}_.:/=+\-@]/gu, '_').slice(0, 256);
}
