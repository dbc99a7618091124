/** What a policy keeps, by examples, and what no policy may do, whatever there is. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Candidate, parseRetention, plan, type RetentionPolicy } from './retention.ts';

const backup = (at: string, more: Partial<Candidate> = {}): Candidate => ({
  id: at,
  atMs: Date.parse(at),
  timeZone: 'UTC',
  source: 'postgres shop',
  good: true,
  ...more,
});

const keptOf = (backups: readonly Candidate[], policy: string) =>
  Object.fromEntries(
    plan(backups, parseRetention(policy))
      .filter(({ reasons }) => reasons.length > 0)
      .map(({ backup, reasons }) => [backup.id, reasons.join(', ')]),
  );

describe('kept', () => {
  test('the last ones, and the newest one of days, weeks, months and years', () => {
    const days = [
      ...['2024-12-31T03:00:00Z', '2025-12-29T03:00:00Z', '2026-10-31T03:00:00Z', '2026-11-15T03:00:00Z'],
      ...['2026-11-16T03:00:00Z', '2026-11-19T03:00:00Z', '2026-11-20T03:00:00Z', '2026-11-20T15:00:00Z'],
    ];
    const backups = days.map((at) => backup(at));
    expect(keptOf(backups, 'last=2,daily=2,weekly=2,monthly=2,yearly=3')).toEqual({
      '2026-11-20T15:00:00Z':
        'newest good one, last 1, daily 2026-11-20, weekly 2026-W47, monthly 2026-11, yearly 2026',
      '2026-11-20T03:00:00Z': 'last 2',
      '2026-11-19T03:00:00Z': 'daily 2026-11-19',
      '2026-11-15T03:00:00Z': 'weekly 2026-W46',
      '2026-10-31T03:00:00Z': 'monthly 2026-10',
      '2025-12-29T03:00:00Z': 'yearly 2025',
      '2024-12-31T03:00:00Z': 'yearly 2024',
    });
  });

  test('weeks as ISO counts them, over the turn of a year', () => {
    const days = ['2020-12-31', '2021-01-03', '2021-01-04', '2024-12-29', '2024-12-30', '2027-01-03'];
    const backups = days.map((day) => backup(`${day}T12:00:00Z`));
    expect(
      Object.values(keptOf(backups, 'weekly=9')).map((why) => why.replace('newest good one, ', '')),
    ).toEqual([
      ...['weekly 2020-W53', 'weekly 2021-W01', 'weekly 2024-W52', 'weekly 2025-W01', 'weekly 2026-W53'],
    ]);
  });

  test('days of the time zone of the backup, also those of 23 and 25 hours', () => {
    const hours = [
      ...['2026-10-24T22:30:00Z', '2026-10-25T00:30:00Z', '2026-10-25T22:30:00Z', '2026-10-25T23:30:00Z'],
    ];
    const berlin = hours.map((at) => backup(at, { timeZone: 'Europe/Berlin' }));
    expect(keptOf(berlin, 'daily=9')).toEqual({
      '2026-10-25T22:30:00Z': 'daily 2026-10-25',
      '2026-10-25T23:30:00Z': 'newest good one, daily 2026-10-26',
    });
    expect(
      Object.keys(
        keptOf(
          hours.map((at) => backup(at)),
          'daily=9',
        ),
      ),
    ).toEqual([hours[0], hours[3]]);
  });

  test('one that is not whole takes the place of none, and goes when its own time has come', () => {
    const backups = [
      backup('2026-11-17T03:00:00Z', { good: false }),
      backup('2026-11-18T03:00:00Z'),
      backup('2026-11-18T04:00:00Z', { good: false }),
      backup('2026-11-19T03:00:00Z'),
      backup('2026-11-20T03:00:00Z', { good: false }),
    ];
    expect(keptOf(backups, 'daily=2')).toEqual({
      '2026-11-18T03:00:00Z': 'daily 2026-11-18',
      '2026-11-18T04:00:00Z': 'daily 2026-11-18',
      '2026-11-19T03:00:00Z': 'newest good one, daily 2026-11-19',
      '2026-11-20T03:00:00Z': 'newer than any good one, daily 2026-11-20',
    });
  });

  test('each source by itself', () => {
    const backups = [
      backup('2026-11-18T03:00:00Z', { source: 'files' }),
      backup('2026-11-19T03:00:00Z'),
      backup('2026-11-20T03:00:00Z'),
    ];
    expect(Object.keys(keptOf(backups, 'last=1'))).toEqual(['2026-11-18T03:00:00Z', '2026-11-20T03:00:00Z']);
  });
});

describe('a policy', () => {
  test('in words', () => {
    expect(parseRetention('last=3, daily=7,weekly=4,monthly=12,yearly=2')).toEqual({
      ...{ last: 3, daily: 7, weekly: 4, monthly: 12, yearly: 2 },
    });
  });
  test.each([
    '',
    'all',
    'daily',
    'hourly=3',
    'daily=-1',
    'daily=1.5',
    'daily=0',
    'daily=1,daily=2',
    'last=3,',
  ])('"%s" is none', (text) => {
    expect(() => parseRetention(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', hint: expect.stringContaining('last=3,daily=7') }),
    );
  });
});

describe('whatever there is', () => {
  const candidates = fc.uniqueArray(
    fc.record({
      id: fc.nat(200).map(String),
      // A few hours of many years, so that periods are shared.
      atMs: fc.nat(60_000).map((hour) => Date.UTC(2020, 0, 1) + hour * 3_600_000),
      timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'Pacific/Kiritimati', 'Pacific/Niue'),
      source: fc.constantFrom('a', 'b'),
      good: fc.boolean(),
    }),
    { selector: ({ id }) => id, maxLength: 60 },
  );
  const policies = fc.record(
    { last: fc.nat(5), daily: fc.nat(9), weekly: fc.nat(5), monthly: fc.nat(5), yearly: fc.nat(3) },
    { requiredKeys: [] },
  );
  const kept = (backups: readonly Candidate[], policy: RetentionPolicy) =>
    plan(backups, policy).flatMap(({ backup, reasons }) => (reasons.length > 0 ? [backup] : []));

  test('nothing else goes, and the newest good one of each source stays', () => {
    fc.assert(
      fc.property(candidates, policies, (backups, policy) => {
        expect(plan(backups, policy).map(({ backup }) => backup)).toEqual(backups);
        for (const source of ['a', 'b']) {
          const good = backups.filter((one) => one.good && one.source === source);
          if (good.length === 0) continue;
          const newest = Math.max(...good.map(({ atMs }) => atMs));
          expect(kept(good, policy).some(({ atMs }) => atMs === newest)).toBe(true);
        }
      }),
    );
  });

  test('a larger policy keeps all that a smaller one does', () => {
    fc.assert(
      fc.property(candidates, policies, policies, (backups, one, more) => {
        const larger: Record<string, number> = { ...one };
        for (const [name, count] of Object.entries(more)) larger[name] = (larger[name] ?? 0) + count;
        const all = kept(backups, larger);
        expect(kept(backups, one).filter((backup) => !all.includes(backup))).toEqual([]);
      }),
    );
  });

  test('what is kept is kept again, whatever of the rest is there yet, and however broken', () => {
    fc.assert(
      fc.property(
        candidates,
        policies,
        fc.infiniteStream(fc.constantFrom('gone', 'half', 'there')),
        (backups, policy, ends) => {
          const staying = kept(backups, policy);
          const after = backups.flatMap((backup) => {
            const end = staying.includes(backup) ? 'there' : ends.next().value;
            return end === 'gone' ? [] : [end === 'half' ? { ...backup, good: false } : backup];
          });
          expect(kept(after, policy)).toEqual(staying);
        },
      ),
    );
  });

  test('one that is not good changes nothing for the others', () => {
    fc.assert(
      fc.property(candidates, policies, (backups, policy) => {
        const good = backups.filter((backup) => backup.good);
        expect(kept(backups, policy).filter((backup) => backup.good)).toEqual(kept(good, policy));
      }),
    );
  });
});
