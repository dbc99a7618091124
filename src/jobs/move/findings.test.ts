import { expect, it } from 'vitest';
import type { ColumnFacts } from '../../databases/database.ts';
import { columnFindings } from './findings.ts';

const facts: ColumnFacts = {
  ref: { schema: 'public', table: 'avatars', column: 'path', within: 'auto' },
  name: 'public.avatars.path',
  kind: 'table',
  dataType: 'text',
  within: 'value',
  primaryKey: [{ name: 'id', type: 'bigint' }],
  indexed: true,
  rowsEstimate: 10,
  generated: false,
  updateTriggers: [],
  canSelect: true,
  canUpdate: true,
};

const counting = expect.objectContaining({ level: 'warning', what: expect.stringContaining('by counting') });

it('warns that rows are checked by counting where triggers fire and there is no key', () => {
  expect(columnFindings({ ...facts, primaryKey: [], updateTriggers: ['touch'] })).toContainEqual(counting);
});

it('does not warn of it with a key or without triggers', () => {
  expect(columnFindings({ ...facts, updateTriggers: ['touch'] })).not.toContainEqual(counting);
  expect(columnFindings({ ...facts, primaryKey: [] })).not.toContainEqual(counting);
  expect(columnFindings(facts)).toEqual([]);
});
