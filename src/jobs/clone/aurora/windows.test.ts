import { expect, test } from 'vitest';
import { windowProblems } from './windows.ts';

test.each([
  ['03:00-04:00', 'sun:05:00-sun:06:00', []],
  [undefined, undefined, []],
  ['03:00-03:30', 'sun:03:30-sun:04:00', []],
  ['23:45-00:15', 'sun:23:15-sun:23:45', []],
  ['03:00-03:29', undefined, ['target_db/backup_window must be 30 minutes or longer']],
  ['03:00-03:00', undefined, ['target_db/backup_window must be 30 minutes or longer']],
  [undefined, 'sun:23:50-mon:00:10', ['target_db/maintenance_window must be 30 minutes or longer']],
  [undefined, 'sun:23:50-mon:00:20', []],
  ['03:00-04:00', 'Mon:04:00-TUE:03:30', [expect.stringContaining('must not overlap')]],
  ['03:00-04:00', 'wed:03:59-wed:05:00', [expect.stringContaining('must not overlap')]],
  ['03:00-04:00', 'wed:02:00-wed:03:01', [expect.stringContaining('must not overlap')]],
  ['23:30-00:30', 'sun:00:29-sun:01:30', [expect.stringContaining('must not overlap')]],
  ['01:00-02:00', 'sat:22:00-sun:04:00', [expect.stringContaining('must not overlap')]],
])('backups at %s, maintenance at %s', (backup, maintenance, problems) => {
  expect(windowProblems(backup, maintenance)).toEqual(problems);
});
