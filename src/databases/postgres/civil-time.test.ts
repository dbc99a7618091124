import fc from 'fast-check';
import { expect, test } from 'vitest';
import { civilFromDays, daysFromCivil, formatTimestamp, IsoReader } from './civil-time.ts';

const reader = (text: string) => new IsoReader(Buffer.from(`xx${text}yy`), 2, Buffer.byteLength(text));

test('days as JavaScript counts them, where it can', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(-8.64e15), max: new Date(8.64e15), noInvalidDate: true }), (date) => {
      const days = Math.floor(date.getTime() / 86_400_000);
      const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()];
      expect(daysFromCivil(year, month, day)).toBe(days);
      expect(civilFromDays(days)).toEqual({ year, month, day });
    }),
  );
});

test('there and back over all that PostgreSQL has', () => {
  fc.assert(
    fc.property(fc.integer({ min: -2_440_588, max: 2_145_042_905 }), (days) => {
      const { year, month, day } = civilFromDays(days);
      expect(daysFromCivil(year, month, day)).toBe(days);
    }),
  );
});

test.each([
  ['1970-01-01', 0],
  ['2000-02-29', 11_016],
  ['0001-01-01', -719_162],
  ['0001-12-31 BC', -719_163],
  ['4713-01-01 BC', -2_440_550],
  ['5874897-12-31', 2_145_042_905],
])('the date %s', (text, days) => {
  expect(reader(text).date()).toBe(days);
});

test.each([
  ['00:00:00', 0],
  ['23:59:59.999999', 86_399_999_999],
  ['24:00:00', 86_400_000_000],
  ['12:30:00.5', 45_000_500_000],
])('the time %s', (text, micros) => {
  expect(reader(text).time()).toBe(micros);
});

test.each([
  ['+00', 0],
  ['+02', 7_200],
  ['-03:30', -12_600],
  ['+00:19:32', 1_172],
  ['', 0],
])('the offset %s', (text, seconds) => {
  expect(reader(text).offset()).toBe(seconds);
});

test('infinity is told from a date', () => {
  expect(reader('infinity').infinite).toBe(true);
  expect(reader('-infinity').infinite).toBe(true);
  expect(reader('2026-01-01').infinite).toBe(false);
});

test('a timestamp as text', () => {
  expect(formatTimestamp(0, 0)).toBe('1970-01-01 00:00:00');
  expect(formatTimestamp(-719_163, 45_000_500_000)).toBe('0001-12-31 12:30:00.5 BC');
  expect(formatTimestamp(daysFromCivil(294_276, 12, 31), 86_399_999_999)).toBe(
    '294276-12-31 23:59:59.999999',
  );
});
