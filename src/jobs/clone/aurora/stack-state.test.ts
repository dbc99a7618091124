import { expect, test } from 'vitest';
import type { StackState } from '../../../platforms/aws/stacks.ts';
import { nextForStack } from './stack-state.ts';

const OURS = { 'longshore:clone': 'shop', 'longshore:owner': 'fred', 'longshore:artifact': 'a' };
const WANTED = { cloneName: 'shop', owner: 'fred', artifact: 'a', sameTemplate: true };

const stack = (status: string, tags: Readonly<Record<string, string>> = OURS): StackState => ({
  id: 'arn:1',
  name: 'longshore-shop',
  status,
  reason: undefined,
  tags,
  parameters: {},
  outputs: {},
  madeAtMs: 0,
});

test.each([
  ['CREATE_COMPLETE', 'use'],
  ['UPDATE_COMPLETE', 'use'],
  ['UPDATE_ROLLBACK_COMPLETE', 'use'],
  ['CREATE_IN_PROGRESS', 'wait'],
  ['ROLLBACK_IN_PROGRESS', 'wait'],
  ['DELETE_IN_PROGRESS', 'wait'],
  ['UPDATE_COMPLETE_CLEANUP_IN_PROGRESS', 'wait'],
  ['ROLLBACK_COMPLETE', 'remove'],
  ['ROLLBACK_FAILED', 'remove'],
  ['CREATE_FAILED', 'remove'],
  ['DELETE_FAILED', 'remove'],
  ['REVIEW_IN_PROGRESS', 'remove'],
  ['UPDATE_ROLLBACK_FAILED', 'refuse'],
  ['DELETE_COMPLETE', 'make'],
])('%s: %s', (status, kind) => {
  expect(nextForStack(stack(status), WANTED).kind).toBe(kind);
});

test('what is not ours is never touched, whatever state it is in', () => {
  for (const status of ['ROLLBACK_COMPLETE', 'DELETE_FAILED', 'CREATE_IN_PROGRESS', 'CREATE_COMPLETE'])
    for (const tags of [{}, { ...OURS, 'longshore:clone': 'other' }, { ...OURS, 'longshore:owner': 'eve' }])
      expect(nextForStack(stack(status, tags), WANTED).kind).toBe('refuse');
});

test('another template is refused, and one that failed is made again with it', () => {
  const other = { ...WANTED, sameTemplate: false };
  expect(nextForStack(stack('CREATE_COMPLETE'), other)).toMatchObject({ kind: 'refuse' });
  expect(nextForStack(stack('ROLLBACK_COMPLETE'), other)).toEqual({ kind: 'remove' });
  expect(nextForStack(undefined, other)).toEqual({ kind: 'make' });
  expect(nextForStack(stack('CREATE_COMPLETE'), { ...WANTED, artifact: 'b' })).toMatchObject({
    kind: 'refuse',
    why: 'the clone shop is there, and was made from another artifact',
  });
});
