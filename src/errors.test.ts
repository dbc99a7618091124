import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERROR_CODES, exitCodeOf, isRetryable, LongshoreError } from './errors.ts';

test('docs/errors.md lists every code with its exit code and whether it is tried again', () => {
  const page = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8');
  const listed = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d) \| (yes|no) \|/gm)].map(
    ([, code, exit, retry]) => [code, Number(exit), retry === 'yes'],
  );
  const exits = { usage: 2, check: 3, failed: 1 } as const;
  expect(listed).toEqual(
    Object.entries(ERROR_CODES).map(([code, { exit, retry }]) => [code, exits[exit], retry === 'retry']),
  );
});

test('errors without a code are bugs: exit 1, never tried again', () => {
  expect(exitCodeOf(new TypeError('x'))).toBe(1);
  expect(isRetryable(new TypeError('x'))).toBe(false);
  expect(exitCodeOf(new LongshoreError('RUN_LOCKED', 'x'))).toBe(3);
});
