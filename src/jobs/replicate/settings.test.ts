/** Names of jobs, and of the slots that come of them. */

import { expect, test } from 'vitest';
import { resolveReplicateOptions } from './settings.ts';
import { slotOf, temporarySlotOf } from './surroundings.ts';

const named = (name: string) =>
  resolveReplicateOptions({ from: 'postgres://db/shop', to: 'file:///lake/', name });

test.each(['Shop', '', 'a-b', 'a'.repeat(41)])('no job is called "%s"', (name) => {
  expect(() => named(name)).toThrow('small letters, digits and _, at most 40');
});

test('no two jobs have slots of one name, those of a load and a verification among them', () => {
  const names = [
    'longshore',
    'shop',
    'load',
    'verify',
    'shop_load',
    'shop_verify',
    '_load_shop',
    'a'.repeat(40),
  ];
  const slots = names
    .map(named)
    .flatMap((job) => [slotOf(job), temporarySlotOf(job, 'load'), temporarySlotOf(job, 'verify')]);
  expect(new Set(slots).size).toBe(slots.length);
  expect(Math.max(...slots.map((slot) => slot.length))).toBeLessThan(64);
});
