/** What happened to the columns of a table. */

import { describe, expect, test } from 'vitest';
import { columnChanges } from './column-changes.ts';

const KNOWN = [
  { name: 'id', number: 1, type: 'integer' },
  { name: 'a', number: 2, type: 'text' },
  { name: 'b', number: 4, type: 'numeric(6,2)' },
];
const now = (...columns: string[]) =>
  columns.map((text) => {
    const [name, ...type] = text.split(' ');
    const known = KNOWN.find((column) => column.name === name);
    return { name: name!, type: type.join(' ') || known?.type || 'text' };
  });
const catalogue = (columns: Record<string, number>) => new Map(Object.entries(columns));
const SAME = { id: 1, a: 2, b: 4 };

describe('told', () => {
  test.each<[string, string[], Record<string, number>, unknown[]]>([
    ['nothing', ['id', 'a', 'b'], SAME, []],
    ['nothing, of a table whose columns are others by now', ['id', 'a', 'b'], { id: 1, z: 2, c: 5 }, []],
    [
      'an addition',
      ['id', 'a', 'b', 'c'],
      { ...SAME, c: 5 },
      [{ kind: 'add', name: 'c', number: 5, type: 'text' }],
    ],
    ['a drop', ['id', 'b'], { id: 1, b: 4 }, [{ kind: 'drop', name: 'a' }]],
    ['a rename', ['id', 'x', 'b'], { id: 1, x: 2, b: 4 }, [{ kind: 'rename', name: 'a', to: 'x' }]],
    [
      'a drop and an addition, which are no rename',
      ['id', 'a', 'x'],
      { id: 1, a: 2, x: 5 },
      [
        { kind: 'drop', name: 'b' },
        { kind: 'add', name: 'x', number: 5, type: 'text' },
      ],
    ],
    [
      'all of them',
      ['id', 'x', 'y', 'z'],
      { id: 1, x: 4, y: 5, z: 6 },
      [
        { kind: 'drop', name: 'a' },
        { kind: 'rename', name: 'b', to: 'x' },
        { kind: 'add', name: 'y', number: 5, type: 'text' },
        { kind: 'add', name: 'z', number: 6, type: 'text' },
      ],
    ],
  ])('%s', (_, columns, numbers, expected) => {
    const named = now(...columns).map((column) =>
      column.name === 'x' && numbers['x'] === 4 ? { ...column, type: 'numeric(6,2)' } : column,
    );
    const found = columnChanges(KNOWN, named, catalogue(numbers));
    expect(found).toMatchObject({ changes: expected });
    expect('columns' in found && found.columns.map(({ name }) => name)).toEqual(columns);
  });

  test('types that hold what they held', () => {
    const changed = columnChanges(KNOWN, now('id', 'a', 'b numeric(12,2)'), catalogue(SAME));
    expect(changed).toMatchObject({ changes: [{ kind: 'widen', name: 'b', type: 'numeric(12,2)' }] });
    expect(columnChanges(KNOWN, now('id', 'a', 'b numeric'), catalogue(SAME))).toMatchObject({
      changes: [{ kind: 'widen' }],
    });
  });
});

describe('not clear', () => {
  test.each<[string, string[], Record<string, number>, string]>([
    ['a column that is gone from the catalogue', ['id', 'a', 'b', 'c'], SAME, 'c is no column of it by now'],
    [
      'a column in the place of another',
      ['id', 'a', 'b', 'c'],
      { ...SAME, c: 2 },
      'c has the place of another column',
    ],
    ['names that changed places', ['id', 'a', 'b'], { id: 1, a: 4, b: 2 }, 'a is another column than before'],
    ['another order', ['id', 'b', 'a'], {}, 'its columns stand in another order'],
    ['another type', ['id', 'a integer', 'b'], SAME, 'the type of a was text and is integer'],
    ['fewer digits', ['id', 'a', 'b numeric(5,2)'], SAME, 'the type of b'],
    ['digits at another place', ['id', 'a', 'b numeric(8,3)'], SAME, 'the type of b'],
  ])('%s', (_, columns, numbers, why) => {
    expect(columnChanges(KNOWN, now(...columns), catalogue(numbers))).toEqual({
      unclear: expect.stringContaining(why),
    });
  });
});
