import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeEach, expect, test } from 'vitest';
import { Journal } from '../../engine/journal.ts';
import { openRun } from '../../engine/run-folder.ts';
import { moveStatus } from './status.ts';
import { emptyTally } from './tally.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-status-'));
  return () => rmSync(folder, { recursive: true, force: true });
});

function begin(fingerprint: string, nowMs: number) {
  const { journal, run } = openRun(folder, 'move', fingerprint, nowMs);
  journal.setMeta('settings', { from: 's3://a/', to: 's3://b/' });
  return { journal, run };
}

const copied = (objects: number) => {
  const tally = emptyTally();
  tally.objects.copied = objects;
  return tally;
};

test('no folder, no runs', () => {
  expect(moveStatus(join(folder, 'none'))).toEqual([]);
});

test('shows a run while another process works on it, newest first', () => {
  const old = begin('a'.repeat(12), 1_000_000);
  old.journal.setMeta('summary', { seconds: 5, total: copied(7) });
  old.journal.setMeta('state', 'finished');
  old.journal[Symbol.dispose]();
  using journal = begin('b'.repeat(12), 2_000_000).journal;
  journal.addShards('copy', 1, [{}, {}, {}]);
  const [first, second] = [...journal.openShards('copy', 1)];
  journal.finish(first!, 'done', copied(10), [], 2_500_000);
  journal.finish(second!, 'failed', { error: { code: 'STORE_DENIED', message: 'no' } }, [], 2_600_000);
  journal.setMeta('deletionDueMs:1', 3_000_000);
  const [running, finished] = moveStatus(folder);
  expect(running).toMatchObject({
    state: 'running',
    from: 's3://a/',
    to: 's3://b/',
    pass: 1,
    startedMs: 2_000_000,
    lastRecordedMs: 2_600_000,
    deletionDueMs: 3_000_000,
    stages: [{ stage: 'copy', open: 1, done: 1, failed: 1 }],
  });
  expect(running!.total.objects.copied).toBe(10);
  expect(finished).toMatchObject({ state: 'finished', startedMs: 1_000_000, finishedMs: 1_005_000 });
  expect(finished!.total.objects.copied).toBe(7);
});

test('a journal that cannot be read does not hide the others', () => {
  const { journal, run } = begin('c'.repeat(12), 1_000_000);
  journal[Symbol.dispose]();
  begin('d'.repeat(12), 2_000_000).journal[Symbol.dispose]();
  const newer = new DatabaseSync(join(folder, run, 'journal.sqlite'));
  newer.exec('PRAGMA user_version = 99');
  newer.close();
  mkdirSync(join(folder, 'move-broken'));
  writeFileSync(
    join(folder, 'move-broken', 'journal.sqlite'),
    'this is no database, though it is called one',
  );
  const states = moveStatus(folder).map(({ state, problem }) => [state, problem]);
  expect(states).toEqual([
    ['unreadable', expect.stringContaining('is not a journal')],
    ['stopped', undefined],
    ['unreadable', expect.stringContaining('newer Longshore')],
  ]);
  expect(() => Journal.open(join(folder, run), 'move', 'read')).toThrow('newer');
});
