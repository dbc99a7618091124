import { expect, test } from 'vitest';
import { clonePlanText } from './clone-plan-text.ts';

const PLAN = {
  mode: 'clone',
  name: 'shop-test',
  how: 'Aurora clone',
  why: 'it shares the storage of its source',
  makes: ['stack longshore-shop-test', 'instance db.r6g.large'],
  estimateMs: 720_000,
  costADay: 6.96,
  findings: [
    { kind: 'ok', text: 'the name shop-test' },
    { kind: 'problem', text: 'shop has no instance', hint: 'add one' },
  ],
} as const;

test('a plan is read from top to bottom: what, how long, how much, what is wrong', () => {
  expect(clonePlanText(PLAN)).toBe(`shop-test: Aurora clone, since it shares the storage of its source
  makes  stack longshore-shop-test
         instance db.r6g.large
  time   about 12m 00s
  costs  $6.96 a day, and the storage of what changes
  · the name shop-test
  ✗ shop has no instance
    → add one`);
});

test('what nobody knows is said, and what is free too', () => {
  const text = clonePlanText({ ...PLAN, estimateMs: undefined, costADay: undefined });
  expect(text.match(/cannot be told/g)).toHaveLength(2);
  expect(clonePlanText({ ...PLAN, costADay: 0 })).toContain('nothing beside the server');
});
