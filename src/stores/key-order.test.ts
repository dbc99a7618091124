import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareKeys, keyBefore, keyBetween, prefixEnd } from './key-order.ts';

const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 });
const bytesOrder = (a: string, b: string) => Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));

test('an emoji sorts after U+FF5E, as its bytes do and its UTF-16 does not', () => {
  expect('😀' < '～').toBe(true);
  expect(compareKeys('😀', '～')).toBeGreaterThan(0);
});

test('order is that of the UTF-8 bytes', () => {
  fc.assert(fc.property(key, key, (a, b) => Math.sign(compareKeys(a, b)) === bytesOrder(a, b)));
});

test('keyBefore sorts before its key', () => {
  fc.assert(fc.property(key, (k) => compareKeys(keyBefore(k), k) < 0));
});

test('keyBetween is strictly between', () => {
  fc.assert(
    fc.property(key, fc.option(key, { nil: undefined }), (low, high) => {
      const middle = keyBetween(low, high);
      if (middle === undefined) return;
      expect(compareKeys(low, middle)).toBeLessThan(0);
      if (high !== undefined) expect(compareKeys(middle, high)).toBeLessThan(0);
      expect(Buffer.from(middle).toString()).toBe(middle);
    }),
  );
});

test('keyBetween finds room between neighbours that share a long head', () => {
  const middle = keyBetween('image/avatar-100001.png', 'image/avatar-100002.png')!;
  expect(compareKeys('image/avatar-100001.png', middle)).toBeLessThan(0);
  expect(compareKeys(middle, 'image/avatar-100002.png')).toBeLessThan(0);
});

test('prefixEnd is above every key with the prefix', () => {
  fc.assert(
    fc.property(key, fc.string({ unit: 'binary', maxLength: 5 }), (prefix, rest) => {
      const end = prefixEnd(prefix);
      return end === undefined || compareKeys(prefix + rest, end) < 0;
    }),
  );
});
