import { expect, test } from 'vitest';
import { leftOut } from './script-left-out.ts';

test('without owners, nothing names a role that need not be there: also not whose grant it is', () => {
  const skip = leftOut({ noOwner: true });
  const left = (text: string): boolean => skip({ kind: 'statement', text, line: 1 });
  expect(
    [
      'ALTER TABLE t OWNER TO a',
      'SET SESSION AUTHORIZATION a',
      'GRANT ALL ON t TO b',
      'RESET SESSION AUTHORIZATION',
    ].map(left),
  ).toEqual([true, true, true, true]);
  expect(['SET statement_timeout = 0', 'CREATE TABLE grants (a int)'].map(left)).toEqual([false, false]);
});
