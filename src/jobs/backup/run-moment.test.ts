/** Dates and hours of a run in its time zone, over midnight and when clocks are changed. */

import { expect, test, vi } from 'vitest';
import { localTimeZone, momentOf } from './run-moment.ts';

const at = (iso: string, zone: string) => {
  const { date, time } = momentOf(Date.parse(iso), zone);
  return `${date} ${time}`;
};

test.each([
  ['2026-11-20T23:59:59.999Z', 'UTC', '2026-11-20 23:59:59'],
  ['2026-11-20T23:59:59.999Z', 'Europe/Berlin', '2026-11-21 00:59:59'],
  ['2026-11-21T00:00:00Z', 'UTC', '2026-11-21 00:00:00'],
  ['2026-11-21T04:30:00Z', 'America/New_York', '2026-11-20 23:30:00'],
  // Half past two comes twice, and the folder is the same.
  ['2026-10-25T00:30:00Z', 'Europe/Berlin', '2026-10-25 02:30:00'],
  ['2026-10-25T01:30:00Z', 'Europe/Berlin', '2026-10-25 02:30:00'],
  // And never.
  ['2026-03-29T00:59:59Z', 'Europe/Berlin', '2026-03-29 01:59:59'],
  ['2026-03-29T01:00:00Z', 'Europe/Berlin', '2026-03-29 03:00:00'],
  ['2026-01-01T00:00:00Z', 'Asia/Kathmandu', '2026-01-01 05:45:00'],
])('%s in %s is %s', (iso, zone, text) => {
  expect(at(iso, zone)).toBe(text);
});

test('a time zone that there is not', () => {
  expect(() => momentOf(0, 'Mars/Olympus')).toThrow('there is no time zone Mars/Olympus');
  expect(momentOf(0, localTimeZone()).timeZone).toBe(localTimeZone());
});

test('a machine that does not name its time zone', () => {
  const options = { ...new Intl.DateTimeFormat().resolvedOptions(), timeZone: undefined as never };
  const told = vi.spyOn(Intl.DateTimeFormat.prototype, 'resolvedOptions').mockReturnValue(options);
  expect(() => localTimeZone()).toThrow('does not say in which time zone it is');
  told.mockRestore();
});
