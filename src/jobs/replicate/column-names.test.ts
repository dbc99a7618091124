/** Which columns of files are taken for those of the table, under another name. */

import { expect, test } from 'vitest';
import type { SourceTable } from '../../databases/postgres/table-catalogue.ts';
import { namesNow } from './column-names.ts';

/** @param columns name and number, in order */
function tableOf(
  columns: readonly (readonly [string, number])[],
  primaryKey: readonly string[],
): SourceTable {
  const named = columns.map(([name, number]) => ({ name, number, generated: name === 'made' }));
  return { columns: named, primaryKey, identityColumns: [] } as unknown as SourceTable;
}

const stage = (names: readonly string[], key: readonly string[] = []) => ({ names, key });

test.each([
  [
    'nothing else',
    ['id', 'v'],
    [
      ['id', 1],
      ['v', 2],
    ],
    {},
  ],
  [
    'before one that stays',
    ['id', 'v'],
    [
      ['pk', 1],
      ['v', 4],
    ],
    { id: 'pk' },
  ],
  [
    'the last one, where none was ever dropped',
    ['id', 'v'],
    [
      ['id', 1],
      ['w', 2],
      ['x', 3],
    ],
    { v: 'w' },
  ],
  [
    'not one that was dropped, with another one added',
    ['id', 'v'],
    [
      ['id', 1],
      ['w', 3],
    ],
    {},
  ],
  [
    'the last one, of the key',
    ['v', 'id'],
    [
      ['v', 1],
      ['pk', 3],
    ],
    { id: 'pk' },
  ],
  [
    'not where one of two was dropped',
    ['a', 'b', 'v'],
    [
      ['c', 2],
      ['v', 3],
    ],
    {},
  ],
  [
    'of the load alone',
    ['id', 'made', 'v'],
    [
      ['pk', 1],
      ['made', 2],
      ['v', 3],
    ],
    { id: 'pk' },
  ],
] as const)('%s', (_, names, columns, renamed) => {
  const [now] = namesNow([stage(names)], tableOf(columns, ['pk']));
  const others = [...now!].filter(([then, name]) => then !== name);
  expect(Object.fromEntries(others)).toEqual(renamed);
});

test('renamed twice, and dropped', () => {
  const twice = stage(['b', 'v', 'w'], ['b']);
  const stages = [stage(['a', 'v', 'w']), twice, twice, stage(['b', 'w'], ['b']), stage(['c', 'w'], ['c'])];
  const found = namesNow(
    stages,
    tableOf(
      [
        ['d', 1],
        ['w', 3],
      ],
      ['d'],
    ),
  ).map((now) => Object.fromEntries(now));
  expect(found).toEqual([
    { a: 'd', v: 'v', w: 'w' },
    { b: 'd', v: 'v', w: 'w' },
    { b: 'd', v: 'v', w: 'w' },
    { b: 'd', w: 'w' },
    { c: 'd', w: 'w' },
  ]);
});
