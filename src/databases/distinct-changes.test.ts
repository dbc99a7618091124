import { expect, it } from 'vitest';
import type { ColumnFacts } from './database.ts';
import { distinctChanges } from './distinct-changes.ts';

const keyed = { primaryKey: [{ name: 'id', type: 'int' }] } as unknown as ColumnFacts;
const change = (primaryKey: string[], oldValue: string, newValue: string) => ({
  primaryKey,
  oldValue,
  newValue,
});

it('keeps the first change of a row, known by its key or its old value', () => {
  const [a, b, c, d, e] = [
    change(['1'], 'x', 'first'),
    change(['1'], 'y', 'second'),
    change(['2'], 'x', 'other row'),
    change([], 'x', 'by value'),
    change([], 'x', 'by value again'),
  ] as const;
  expect(distinctChanges(keyed, [a, b, c, d, e])).toEqual({ byKey: [a, c], byValue: [d] });
});

it('knows keys of several columns apart', () => {
  const [a, b] = [change(['1', '2,3'], 'x', 'n'), change(['1,2', '3'], 'x', 'n')];
  expect(distinctChanges(keyed, [a, b]).byKey).toEqual([a, b]);
});

it('goes by the value where the table has no key', () => {
  const one = change(['ignored'], 'x', 'n');
  const keyless = { primaryKey: [] } as unknown as ColumnFacts;
  expect(distinctChanges(keyless, [one])).toEqual({ byKey: [], byValue: [one] });
});
