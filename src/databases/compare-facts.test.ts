/** What a restored database lacks, or has too much of. */

import { expect, test } from 'vitest';
import { compareFacts } from './compare-facts.ts';
import type { DumpFacts } from './dump.ts';

const FACTS: DumpFacts = {
  tables: [
    { schema: 'public', name: 'items', rows: 3, digest: 'a' },
    { schema: 'public', name: 'orders', rows: 2, digest: 'b' },
  ],
  sequences: { 'public.items_id_seq': '3 true' },
  objects: ['index public.items_pkey', 'view public.totals'],
  largeObjects: 1,
};

test('nothing is said where all is the same', () => {
  expect(compareFacts(FACTS, structuredClone(FACTS))).toEqual([]);
});

test('each difference is a sentence', () => {
  const [items] = FACTS.tables;
  const found: DumpFacts = {
    tables: [
      { ...items!, rows: 4 },
      { schema: 'public', name: 'strange', rows: 0, digest: '0' },
    ],
    sequences: { 'public.items_id_seq': '4 true' },
    objects: ['index public.items_pkey', 'trigger audit on public.items'],
    largeObjects: 0,
  };
  expect(compareFacts(FACTS, found)).toEqual([
    'table public.items has 4 rows and not 3',
    'table public.orders is missing',
    'table public.strange should not be there',
    'sequence public.items_id_seq stands at 4 true and not at 3 true',
    'view public.totals is missing',
    'trigger audit on public.items should not be there',
    'there are 0 large objects and not 1',
  ]);
  expect(compareFacts(FACTS, { ...FACTS, tables: FACTS.tables.with(0, { ...items!, digest: 'c' }) })).toEqual(
    ['table public.items has 3 rows, and they are not the same'],
  );
  expect(compareFacts(FACTS, { ...FACTS, sequences: {} })).toEqual([
    'sequence public.items_id_seq is missing',
  ]);
});

test('of many differences some are listed', () => {
  const tables = Array.from({ length: 30 }, (_, i) => ({ schema: '', name: `t${i}`, rows: 1, digest: 'a' }));
  const problems = compareFacts({ ...FACTS, tables }, { ...FACTS, tables: [] });
  expect(problems).toHaveLength(11);
  expect(problems.slice(-2)).toEqual(['table t9 is missing', 'and 20 more of this kind']);
});
