import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowDigest } from './row-digest.ts';

const digestOf = (rows: readonly (string | Uint8Array)[]): string => {
  const digest = new RowDigest();
  for (const row of rows) {
    const bytes = Buffer.from(row as string);
    digest.add(bytes, 0, bytes.byteLength);
  }
  expect(digest.rows).toBe(rows.length);
  return String(digest);
};
const row = fc.uint8Array({ maxLength: 60 });
const rows = fc.array(row, { maxLength: 20 });

test('is the same in any order, in parts, and wherever a row lies', () => {
  fc.assert(
    fc.property(rows, fc.nat(20), fc.nat(9), (some, cut, before) => {
      const whole = digestOf(some);
      expect(digestOf(some.toReversed())).toBe(whole);
      const one = new RowDigest();
      const other = new RowDigest();
      for (const [i, bytes] of some.entries()) {
        if (i === before) {
          const at = one.begin(bytes, 0, Math.min(cut, bytes.byteLength));
          one.add(bytes, at, bytes.byteLength);
          continue;
        }
        const around = Buffer.concat([Buffer.alloc(before, 1), bytes, Buffer.alloc(3, 2)]);
        (i < cut ? one : other).add(around, before, before + bytes.byteLength);
      }
      one.merge(other);
      expect(String(one)).toBe(whole);
    }),
  );
});

test('is another one for each change: a byte, a row less, a row twice, two parts of rows exchanged', () => {
  fc.assert(
    fc.property(rows, row, fc.nat(59), fc.integer({ min: 1, max: 255 }), (some, last, at, flip) => {
      const whole = digestOf([...some, last]);
      expect(digestOf(some)).not.toBe(whole);
      expect(digestOf([...some, last, last])).not.toBe(whole);
      if (last.byteLength === 0) return;
      const changed = Uint8Array.from(last);
      changed[at % last.byteLength]! ^= flip;
      expect(digestOf([...some, changed])).not.toBe(whole);
      expect(digestOf([...some, last.subarray(1)])).not.toBe(whole);
    }),
  );
  expect(digestOf(['1\ta', '2\tb'])).not.toBe(digestOf(['1\tb', '2\ta']));
  expect(digestOf(['12345678abcdefgh'])).not.toBe(digestOf(['abcdefgh12345678']));
  expect(digestOf(['a', 'a'])).not.toBe(digestOf(['b', 'b']));
});

test('stays what it is: manifests of before are compared with it', () => {
  expect(digestOf(['', 'a', 'the quick brown fox', '\\N\t{"a": 1}'])).toMatchInlineSnapshot(
    `"90bd8ff6739c87f7"`,
  );
});
