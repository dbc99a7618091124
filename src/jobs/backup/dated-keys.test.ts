/** Keys by date and number: what the next one is, whatever lies in the folder. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_TEMPLATE, keyOf, nextIndex, parseTemplate } from './dated-keys.ts';
import { momentOf } from './run-moment.ts';

const NOON = momentOf(Date.UTC(2026, 10, 20, 12), 'UTC');
const template = parseTemplate(DEFAULT_TEMPLATE);
const next = (...keys: string[]) => nextIndex(template, NOON, keys);

test('the first dump of a day, and the next one', () => {
  expect(keyOf(template, NOON, next(), '.sql')).toBe('2026-11-20/datadump1.sql');
  expect(keyOf(template, NOON, next('2026-11-20/datadump1.sql'), '.sql')).toBe('2026-11-20/datadump2.sql');
});

test('numbers are compared as numbers, and gaps are not filled', () => {
  expect(next('2026-11-20/datadump9.sql', '2026-11-20/datadump10.sql')).toBe(11);
  expect(next('2026-11-20/datadump2.sql', '2026-11-20/datadump0007.sql')).toBe(8);
});

test('one number a dump, whatever its extension', () => {
  expect(next('2026-11-20/datadump3.sql.zst', '2026-11-20/datadump3.manifest.json')).toBe(4);
});

test('what somebody else put there does not count', () => {
  expect(
    next(
      '2026-11-19/datadump5.sql',
      '2026-11-20/datadump6',
      '2026-11-20/datadump.sql',
      '2026-11-20/datadump7x.sql',
      '2026-11-20/datadump8/notes.sql',
      '2026-11-20/olddatadump9.sql',
      '2026-11-20/datadump99999999999999999999.sql',
      'x/2026-11-20/datadump12.sql',
    ),
  ).toBe(7);
});

test('other templates', () => {
  const shop = parseTemplate('shop/{date}/{time}-{index}-full');
  expect(keyOf(shop, NOON, 3, '.dump')).toBe('shop/2026-11-20/120000-3-full.dump');
  expect(
    nextIndex(shop, NOON, ['shop/2026-11-20/120000-3-full.dump', 'shop/2026-11-20/120000-4-part.dump']),
  ).toBe(4);
});

test.each([
  ['{date}/dump', '{index} has to come once'],
  ['{index}{index}', '{index} has to come once'],
  ['{index}/dump', '{index} has to be in the last part'],
  ['{day}/dump{index}', '{day} means nothing'],
  ['/dump{index}', 'a part of it is empty'],
  ['{index}5', 'digits right behind {index}'],
  ['{index}{date}', 'digits right behind {index}'],
  ['../dump{index}', 'it leaves its folder'],
  ['a/./dump{index}', 'it leaves its folder'],
  ['_longshore/backup/dump{index}', 'is for what Longshore notes'],
])('%s is no template', (text, why) => {
  expect(() => parseTemplate(text)).toThrow(why);
});

describe('for any keys', () => {
  const key = fc
    .tuple(fc.nat(300), fc.constantFrom('.sql', '.sql.zst', '.dump', ''))
    .map(([n, end]) => `2026-11-20/datadump${n}${end}`);
  test('the next key is none of them, and the next one after it is the next number', () => {
    fc.assert(
      fc.property(fc.array(key), (keys) => {
        const index = nextIndex(template, NOON, keys);
        for (const end of ['.sql', '.sql.zst']) expect(keys).not.toContain(keyOf(template, NOON, index, end));
        expect(nextIndex(template, NOON, [...keys, keyOf(template, NOON, index, '.sql')])).toBe(index + 1);
      }),
    );
  });
});
