/** What to do about a stack of the wanted name that is there already. */

import { isDeepStrictEqual } from 'node:util';
import type { StackState } from '../../../platforms/aws/stacks.ts';
import { TAGS } from './names.ts';

export type StackStep =
  /** Nothing is there. */
  | { readonly kind: 'make' }
  /** Something is under way: look again when it ended. */
  | { readonly kind: 'wait' }
  /** What an attempt that failed left behind is deleted, and then it is made. */
  | { readonly kind: 'remove' }
  /** It is there. */
  | { readonly kind: 'use' }
  | { readonly kind: 'refuse'; readonly why: string; readonly hint: string };

export interface WantedStack {
  readonly cloneName: string;
  readonly owner: string;
  /** Digest of the artifact's content. */
  readonly artifact: string;
  /** Of the stack that is there and of the one that is wanted. */
  readonly sameTemplate: boolean;
}

/**
 * | stack | step |
 * | --- | --- |
 * | none, or deleted | make |
 * | not ours, of another clone, or of another owner | refuse |
 * | anything under way | wait |
 * | ROLLBACK_COMPLETE, ROLLBACK_FAILED, CREATE_FAILED, DELETE_FAILED, REVIEW_IN_PROGRESS | remove |
 * | *_COMPLETE with the same template | use |
 * | another template or artifact, or an update that failed | refuse: an update may replace the cluster, with everything in it |
 */
export function nextForStack(stack: StackState | undefined, wanted: WantedStack): StackStep {
  if (stack === undefined || stack.status === 'DELETE_COMPLETE') return { kind: 'make' };
  const clone = stack.tags[TAGS.clone];
  const other = { hint: 'give another --name or --stack-name' };
  if (clone === undefined)
    return {
      kind: 'refuse',
      why: `the stack ${stack.name} is there, and was not made by Longshore`,
      ...other,
    };
  if (clone !== wanted.cloneName)
    return { kind: 'refuse', why: `the stack ${stack.name} is that of the clone ${clone}`, ...other };
  const owner = stack.tags[TAGS.owner];
  if (owner !== wanted.owner)
    return { kind: 'refuse', why: `the clone ${clone} belongs to ${owner ?? 'nobody'}`, ...other };
  if (REMAINS.has(stack.status)) return { kind: 'remove' };
  if (stack.status.endsWith('_IN_PROGRESS')) return { kind: 'wait' };
  const drop = { hint: `longshore clone drop ${clone}, and run again; or give another --name` };
  if (stack.status.endsWith('_FAILED'))
    return { kind: 'refuse', why: `the stack ${stack.name} is ${stack.status}`, ...drop };
  if (!wanted.sameTemplate)
    return {
      kind: 'refuse',
      why: `the clone ${clone} is there, and was made from another configuration`,
      ...drop,
    };
  // Its rows are masked by other rules, or its changelog is another one.
  if (stack.tags[TAGS.artifact] !== wanted.artifact)
    return {
      kind: 'refuse',
      why: `the clone ${clone} is there, and was made from another artifact`,
      ...drop,
    };
  return { kind: 'use' };
}

const REMAINS = new Set([
  'ROLLBACK_COMPLETE',
  'ROLLBACK_FAILED',
  'CREATE_FAILED',
  'DELETE_FAILED',
  'REVIEW_IN_PROGRESS',
]);

/** As data: CloudFormation may give it back laid out otherwise. */
export function isSameTemplate(there: string | undefined, wanted: string): boolean {
  if (there === undefined) return false;
  try {
    return isDeepStrictEqual(JSON.parse(there), JSON.parse(wanted));
  } catch (error) {
    // Somebody updated the stack with YAML.
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
