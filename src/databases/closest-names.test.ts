import { expect, it } from 'vitest';
import { closestNames, didYouMean } from './closest-names.ts';

it('finds what was mistyped, and not what is something else', () => {
  const names = ['avatars', 'Avatar', 'users', 'orders', 'avatar_old'];
  expect(closestNames('avatar', names)).toEqual(['Avatar', 'avatars']);
  expect(closestNames('user', names)).toEqual(['users']);
  expect(closestNames('invoices', names)).toEqual([]);
  expect(didYouMean([])).toBeUndefined();
  expect(didYouMean(['a', 'b'])).toBe('did you mean "a" or "b"?');
});
