import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { findRun, fingerprintOf, listRuns, openRun } from './run-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-runs-'));
  return () => rmSync(folder, { recursive: true, force: true });
});

const A = fingerprintOf('move', { to: 'a' });
const B = fingerprintOf('move', { to: 'b' });

function begin(fingerprint: string, nowMs: number, state?: string) {
  const { journal, run, resumed } = openRun(folder, 'move', fingerprint, nowMs);
  if (state !== undefined) journal.setMeta('state', state);
  journal[Symbol.dispose]();
  return { run, resumed };
}

test('an unfinished run of the same fingerprint goes on; a finished one is not opened again', () => {
  const first = begin(A, 1_000);
  expect(begin(B, 2_000)).toMatchObject({ resumed: false });
  expect(begin(A, 3_000, 'finished')).toEqual({ run: first.run, resumed: true });
  expect(begin(A, 4_000)).toMatchObject({ resumed: false });
  expect(listRuns(folder, 'move')).toHaveLength(3);
});

test('a damaged journal stands only in the way of its own run', () => {
  const damaged = begin(A, 1_000).run;
  for (const suffix of ['', '-wal', '-shm']) {
    rmSync(join(folder, damaged, `journal.sqlite${suffix}`), { force: true });
  }
  writeFileSync(join(folder, damaged, 'journal.sqlite'), 'damaged '.repeat(1000));
  expect(begin(B, 2_000)).toMatchObject({ resumed: false });
  expect(() => begin(A, 3_000)).toThrow(expect.objectContaining({ code: 'JOURNAL_FOREIGN' }));
});

test('lists newest first, and leaves alone what is no run', () => {
  mkdirSync(join(folder, 'move-20200101-000000-ffffff'));
  writeFileSync(join(folder, 'notes.txt'), '');
  const old = begin(A, Date.UTC(2026, 0, 1)).run;
  const young = begin(B, Date.UTC(2026, 0, 2)).run;
  expect(listRuns(folder)).toEqual([young, old]);
  expect(listRuns(folder, 'backup')).toEqual([]);
  expect(listRuns(join(folder, 'absent'))).toEqual([]);
  expect(findRun(folder, 'move')).toBe(join(folder, young));
  expect(findRun(folder, 'move', old)).toBe(join(folder, old));
  expect(() => findRun(folder, 'move', 'other')).toThrow(expect.objectContaining({ code: 'RUN_NOT_FOUND' }));
});
