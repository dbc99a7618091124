import { expect, test } from 'vitest';
import { chooseWay, type Situation, wayOut } from './choose-way.ts';

const LOCAL: Situation = {
  product: 'PostgreSQL',
  sameServer: true,
  bytes: 3e9,
  sessions: 0,
  mayCopy: true,
  jobs: 2,
  backup: undefined,
  reachable: true,
  compare: false,
  noOwner: false,
};
const backup = {
  key: '2026-11-20/datadump1.dump.zst',
  takenAt: '2026-11-20T03:00:00Z',
  source: 'postgres://db/shop',
  sameServer: true,
};

const chosen = (more: Partial<Situation>, wanted?: 'template' | 'copy' | 'dump' | 'backup') => {
  const found = chooseWay({ ...LOCAL, ...more }, wanted);
  return typeof found === 'string' ? found : found.way;
};

test('the fastest that there is', () => {
  expect(chosen({})).toBe('template');
  expect(chosen({ sessions: 1 })).toBe('copy');
  expect(chosen({ sameServer: false })).toBe('copy');
  expect(chosen({ mayCopy: false })).toBe('copy');
  expect(chosen({ product: 'MariaDB' })).toBe('dump');
  expect(chosen({ product: 'MariaDB', backup })).toBe('dump');
  expect(chosen({ reachable: false, backup })).toBe('backup');
  const other = { ...backup, sameServer: false };
  expect(chosen({ reachable: false, backup: other })).toContain('drilled one is of postgres://db/shop');
  expect(chosen({ reachable: false, backup: other }, 'backup')).toBe('backup');
});

test('why not a faster one', () => {
  const found = chooseWay({ ...LOCAL, sessions: 2 }, undefined);
  expect(found).toMatchObject({ why: expect.stringContaining('2 sessions are connected to the source') });
  expect(chosen({ reachable: false })).toContain('there is no drilled backup');
});

test('what was asked for, or why it cannot be', () => {
  expect(chosen({}, 'copy')).toBe('copy');
  expect(chosen({ backup }, 'backup')).toBe('backup');
  expect(chosen({ sessions: 3 }, 'template')).toBe('template');
  expect(chosen({ sameServer: false }, 'template')).toBe('the clone is on another server');
  expect(chosen({ product: 'MariaDB' }, 'copy')).toBe('MariaDB has no such way');
});

test('the more there is the longer it takes, and more connections help a copy', () => {
  const estimate = (more: Partial<Situation>, way: 'copy' | 'template') => {
    const found = chooseWay({ ...LOCAL, ...more }, way);
    return typeof found === 'string' ? 0 : found.estimateMs;
  };
  expect(estimate({ bytes: 6e9 }, 'copy')).toBeGreaterThan(estimate({}, 'copy'));
  expect(estimate({ jobs: 4 }, 'copy')).toBeLessThan(estimate({}, 'copy'));
  expect(estimate({}, 'template')).toBeLessThan(estimate({}, 'copy'));
});

test('what to do where there is no way', () => {
  const out = (more: Partial<Situation>, wanted: 'template' | 'backup' | undefined, places = false) =>
    wayOut({ ...LOCAL, ...more }, wanted, places);
  expect(out({}, 'backup')).toContain('--backups');
  expect(out({}, 'backup', true)).toContain('longshore drill');
  expect(out({ compare: true }, 'backup', true)).toContain('leave --compare out');
  expect(out({ reachable: false }, undefined)).toMatch(/URL of the source.*--backups/);
  expect(out({ reachable: false, backup }, undefined)).toContain('--how backup');
  expect(out({ compare: true }, 'template')).toBe('leave --compare or --how out');
  expect(out({ product: 'MariaDB' }, 'template')).toContain('leave --how out');
});
