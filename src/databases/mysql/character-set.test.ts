import { expect, it } from 'vitest';
import { canHold, typeName } from './character-set.ts';

it.each([
  ['utf8mb4', 'é😀', true],
  ['utf8mb3', 'é漢', true],
  ['utf8mb3', '😀', false],
  ['latin1', 'é€', true],
  ['latin1', '漢', false],
  ['ascii', 'é', false],
  ['cp1251', 'я', undefined],
  ['cp1251', 'a/b', true],
])('knows whether %s holds "%s"', (characterSet, text, holds) => {
  expect(canHold(characterSet, text)).toBe(holds);
});

it('names types as the database does', () => {
  expect(typeName('int', null)).toBe('int');
  expect(typeName('varchar', 'utf8mb4')).toBe('varchar');
  expect(typeName('varchar', 'latin1')).toBe('varchar character set latin1');
});
