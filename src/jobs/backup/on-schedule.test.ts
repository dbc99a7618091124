/** Times of a schedule in its time zone, and runs that take longer than the time between two. */

import { describe, expect, test } from 'vitest';
import type { Clock } from '../../flow/clock.ts';
import { nextTimes, runOnSchedule } from './on-schedule.ts';

describe('the next time', () => {
  const next = (pattern: string, zone: string, after: string) =>
    new Date(nextTimes(pattern, zone)(Date.parse(after))!).toISOString();

  test.each([
    ['0 3 * * *', 'UTC', '2026-11-20T02:59:59Z', '2026-11-20T03:00:00.000Z'],
    ['0 3 * * *', 'UTC', '2026-11-20T03:00:00Z', '2026-11-21T03:00:00.000Z'],
    ['0 3 * * *', 'Europe/Berlin', '2026-11-20T00:00:00Z', '2026-11-20T02:00:00.000Z'],
    ['* * * * *', 'UTC', '2026-11-20T03:00:01Z', '2026-11-20T03:01:00.000Z'],
    ['*/10 * * * * *', 'UTC', '2026-11-20T03:00:01Z', '2026-11-20T03:00:10.000Z'],
  ])('of %s in %s behind %s', (pattern, zone, after, expected) => {
    expect(next(pattern, zone, after)).toBe(expected);
  });

  test('half past two where it comes twice and where it does not: once each night', () => {
    const times = (from: string) => {
      const find = nextTimes('30 2 * * *', 'Europe/Berlin');
      const first = find(Date.parse(from))!;
      return [first, find(first)!].map((ms) => new Date(ms).toISOString());
    };
    expect(times('2026-10-24T12:00:00Z')).toEqual(['2026-10-25T00:30:00.000Z', '2026-10-26T01:30:00.000Z']);
    const [skipped, after] = times('2026-03-28T12:00:00Z');
    expect(skipped).toMatch(/^2026-03-29T01:/);
    expect(after).toBe('2026-03-30T00:30:00.000Z');
  });

  test.each([
    ['every day', 'UTC'],
    ['0 3 * * *', 'Mars/Olympus'],
    ['61 * * * *', 'UTC'],
  ])('%s in %s is none', (pattern, zone) => {
    expect(() => nextTimes(pattern, zone)).toThrow(`no schedule: ${pattern}`);
  });
});

describe('runs', () => {
  /** A clock that goes on by itself where it is waited for. */
  function clockFrom(iso: string) {
    let nowMs = Date.parse(iso);
    const clock: Clock = {
      now: () => nowMs,
      wait: async (ms) => {
        nowMs += ms;
      },
    };
    return {
      clock,
      pass: (ms: number) => (nowMs += ms),
      at: () => new Date(nowMs).toISOString().slice(11, 19),
    };
  }

  test('one after another, and none is made up for that came while one was under way', async () => {
    const time = clockFrom('2026-11-20T03:00:30Z');
    const stop = new AbortController();
    const runs: string[] = [];
    const schedule = runOnSchedule(
      { pattern: '* * * * *', timeZone: 'UTC', clock: time.clock },
      async () => {
        runs.push(time.at());
        if (runs.length === 2) time.pass(3.5 * 60_000);
        if (runs.length === 4) stop.abort(new Error('stopped'));
      },
      stop.signal,
    );
    await expect(schedule).rejects.toThrow('stopped');
    expect(runs).toEqual(['03:01:00', '03:02:00', '03:06:00', '03:07:00']);
  });

  test('a schedule that never comes', async () => {
    const never = runOnSchedule(
      { pattern: '0 0 30 2 *', timeZone: 'UTC' },
      async () => undefined,
      new AbortController().signal,
    );
    await expect(never).rejects.toThrow('never comes again');
  });
});
