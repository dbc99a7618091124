/** Columns that are added, renamed, dropped and retyped, told apart by their numbers. */

import { describe, expect, test } from 'vitest';
import { columnChanges, columnNumbers, type WarehouseColumn } from './column-changes.ts';

const column = (
  name: string,
  number: number | null,
  type = 'integer',
  parquet = 'INT32',
): WarehouseColumn => ({
  name,
  number,
  type,
  parquet,
});
const known = [column('id', 1), column('a', 2), column('b', 3)];

describe('changes', () => {
  test('none', () => {
    expect(columnChanges(known, known)).toBeUndefined();
  });

  test('a column that keeps its number is renamed, one that has another is new', () => {
    expect(columnChanges(known, [column('id', 1), column('x', 2), column('b', 4)])).toEqual({
      dropped: [column('b', 3)],
      renamed: [{ from: 'a', to: 'x' }],
      retyped: [],
      added: [column('b', 4)],
    });
  });

  test('names that two columns exchange', () => {
    expect(columnChanges(known, [column('id', 1), column('b', 2), column('a', 3)])?.renamed).toEqual([
      { from: 'a', to: 'b' },
      { from: 'b', to: 'a' },
    ]);
  });

  test('without a number the name counts', () => {
    expect(columnChanges([column('id', null)], [column('id', 1), column('at', null)])).toMatchObject({
      dropped: [],
      renamed: [],
      added: [{ name: 'at' }],
    });
  });

  test.each([
    [column('a', 2, 'bigint', 'INT64'), true],
    [column('a', 2, 'oid', 'INT32'), true],
  ])('another type', (next, retyped) => {
    expect(columnChanges(known, [known[0]!, next, known[2]!])?.retyped).toEqual(retyped ? [next] : []);
  });

  test.each([
    ['character varying(10)', 'text', 'STRING', 'STRING', false],
    ['character varying(10)', 'character varying(20)', 'STRING', 'STRING', false],
    ['character(5)', 'character(10)', 'STRING', 'STRING', true],
    ['numeric(10,2)', 'numeric', 'DECIMAL(10,2)', 'DECIMAL(10,2)', false],
    ['numeric(10,2)', 'numeric(12,2)', 'DECIMAL(10,2)', 'DECIMAL(12,2)', true],
    ['uuid', 'text', 'STRING', 'STRING', true],
  ])('%s to %s', (from, to, before, after, retyped) => {
    const changes = columnChanges([column('a', 1, from, before)], [column('a', 1, to, after)]);
    expect(changes?.retyped.length ?? 0).toBe(retyped ? 1 : 0);
  });
});

describe('numbers', () => {
  const at = (...pairs: [string, number][]) => pairs.map(([name, number]) => column(name, number));

  test.each<[string, string[], [string, number][], (number | null)[]]>([
    [
      'as the catalogue says',
      ['id', 'x', 'b'],
      [
        ['id', 1],
        ['x', 2],
        ['b', 3],
      ],
      [1, 2, 3],
    ],
    [
      'renamed again since',
      ['id', 'x', 'b'],
      [
        ['id', 1],
        ['y', 2],
        ['b', 3],
      ],
      [1, 2, 3],
    ],
    [
      'renamed back since',
      ['id', 'x', 'b'],
      [
        ['id', 1],
        ['a', 2],
        ['b', 3],
      ],
      [1, 2, 3],
    ],
    [
      'dropped since',
      ['id', 'x', 'b'],
      [
        ['id', 1],
        ['b', 3],
      ],
      [1, null, 3],
    ],
    [
      'dropped and added',
      ['id', 'b', 'x'],
      [
        ['id', 1],
        ['b', 3],
        ['x', 4],
      ],
      [1, 3, 4],
    ],
    [
      'added, and another one since',
      ['id', 'a', 'b', 'x'],
      [
        ['id', 1],
        ['a', 2],
        ['b', 3],
        ['y', 5],
      ],
      [1, 2, 3, null],
    ],
    [
      'names exchanged',
      ['id', 'b', 'a'],
      [
        ['id', 1],
        ['b', 2],
        ['a', 3],
      ],
      [1, 2, 3],
    ],
    [
      'names exchanged since',
      ['id', 'a', 'b', 'c'],
      [
        ['id', 1],
        ['b', 2],
        ['a', 3],
        ['c', 4],
      ],
      [1, 2, 3, 4],
    ],
    ['the table is gone', ['id', 'a', 'b'], [], [1, 2, 3]],
  ])('%s', (_, names, now, numbers) => {
    const columns = names.map((name) => column(name, null));
    expect(columnNumbers(columns, known, at(...now))).toEqual(numbers);
  });

  test('of a table that was not known', () => {
    expect(columnNumbers([column('id', null), column('a', null)], [], at(['id', 1], ['a', 3]))).toEqual([
      1, 3,
    ]);
  });

  test('a column that went and came again with another type is another one', () => {
    const now = [column('id', 1), column('a', 2), column('b', 4, 'text', 'STRING')];
    expect(columnNumbers([column('id', null), column('a', null), column('b', null)], known, now)).toEqual([
      1, 2, 3,
    ]);
  });
});
