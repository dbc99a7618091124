import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatLsn, parseLsn, sortableLsn } from './lsn.ts';

const lsn = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });

test('as PostgreSQL prints it', () => {
  expect(parseLsn('16/B374D848')).toBe(0x16b374d848n);
  expect(formatLsn(0x16b374d848n)).toBe('16/B374D848');
  expect(formatLsn(0n)).toBe('0/0');
  expect(sortableLsn(0x16b374d848n)).toBe('00000016B374D848');
});

test('there and back, and in order', () => {
  fc.assert(
    fc.property(lsn, lsn, (a, b) => {
      expect(parseLsn(formatLsn(a))).toBe(a);
      expect(sortableLsn(a) < sortableLsn(b)).toBe(a < b);
    }),
  );
});

test('what is none', () => {
  for (const text of ['', '16', '16/', '16/G', '123456789/0', '1/2/3']) {
    expect(() => parseLsn(text)).toThrow(`cannot read "${text}" as an LSN`);
  }
});
