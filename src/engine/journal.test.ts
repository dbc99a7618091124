import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync } from 'node:zlib';
import { beforeEach, expect, test } from 'vitest';
import { Journal } from './journal.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-journal-'));
  return () => rmSync(folder, { recursive: true, force: true });
});

const open = (access: 'write' | 'read' = 'write', job = 'move') => Journal.open(folder, job, access);
const code = (name: string) => expect.objectContaining({ code: name });

test('shards stay open until they are recorded, and failed ones are tried again', () => {
  using journal = open();
  journal.addShards('copy', 1, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  journal.addShards('copy', 2, [{ n: 4 }]);
  const [one, two] = [...journal.openShards('copy', 1)];
  journal.finish(one!, 'done', { copied: 1 }, [{ object: 'a' }], 10);
  journal.finish(two!, 'failed', { error: {} }, [], 20);
  expect([...journal.openShards('copy', 1)].map(({ spec }) => spec)).toEqual([{ n: 2 }, { n: 3 }]);
  expect(journal.counts('copy', 1)).toEqual({ open: 1, done: 1, failed: 1 });
  expect(journal.counts('copy')).toEqual({ open: 2, done: 1, failed: 1 });
});

test('shards that are added while others are read come up too', () => {
  using journal = open();
  journal.addShards('copy', 1, [1]);
  const seen: unknown[] = [];
  for (const { spec } of journal.openShards('copy', 1)) {
    seen.push(spec);
    if (seen.length < 600) journal.addShards('copy', 1, [seen.length + 1]);
  }
  expect(seen).toHaveLength(600);
});

test('finished shards by stage and pass, in both orders', () => {
  using journal = open();
  for (const pass of [1, 2]) {
    for (const stage of ['copy', 'sweep']) {
      journal.transaction(() => journal.addFinished(stage, pass, {}, { pass, stage }, [], pass));
    }
  }
  const outcomes = (...args: Parameters<Journal['finished']>) =>
    [...journal.finished(...args)].map(({ outcome }) => outcome);
  expect(outcomes({ stage: 'copy', pass: 2 })).toEqual([{ pass: 2, stage: 'copy' }]);
  expect(outcomes({ stage: 'sweep' })).toHaveLength(2);
  expect(outcomes({}, 'desc')).toEqual(outcomes().reverse());
  expect(outcomes()).toHaveLength(4);
});

test('details come back as they were, whatever is in them', () => {
  using journal = open();
  const lines = [{ object: 'a\nb\u2028\u0000"' }, { row: ['1', 'é'], n: 1.5, nothing: null }];
  journal.addShards('copy', 1, [{}]);
  const [shard] = [...journal.openShards('copy', 1)];
  journal.finish(shard!, 'done', {}, lines, 1);
  expect(journal.details(shard!.id)).toEqual(lines);
  expect(gunzipSync(journal.packedDetails(shard!.id)!).toString()).toBe(
    `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`,
  );
  expect(journal.details(99)).toEqual([]);
});

test('an intent is closed by the part that it led to, and by nothing else', () => {
  const journal = open();
  journal.addShards('sweep', 1, [{}]);
  const [shard] = [...journal.openShards('sweep', 1)];
  journal.addIntent(shard!.id, [{ row: ['1'] }]);
  const dropped = journal.addIntent(shard!.id, [{ row: ['2'] }]);
  journal.dropIntent(dropped);
  journal[Symbol.dispose]();
  using again = open();
  expect(again.intents(shard!.id).map(({ lines }) => lines)).toEqual([[{ row: ['1'] }]]);
  again.finish(shard!, 'done', {}, [], 1);
  const [intent] = again.intents();
  again.addPart(shard!, { rows: 1 }, [{ row: ['1'] }], [intent!.id], 2);
  expect(again.intents()).toEqual([]);
  expect([...again.partDetails(shard!.id)]).toEqual([{ row: ['1'] }]);
  expect(again.counts('sweep', 1)).toEqual({ open: 0, done: 1, failed: 0 });
  expect([...again.finished({ stage: 'sweep', pass: 1 })].map(({ outcome }) => outcome)).toEqual([
    {},
    { rows: 1 },
  ]);
});

test('a transaction that throws leaves nothing', () => {
  using journal = open();
  const fail = () =>
    journal.transaction(() => {
      journal.setMeta('a', 1);
      throw new Error('no');
    });
  expect(fail).toThrow('no');
  expect(journal.getMeta('a')).toBeUndefined();
});

test('a second writer is refused while the first lives, a reader is not', () => {
  const first = open();
  expect(Journal.isLocked(folder)).toBe(true);
  expect(() => open()).toThrow(code('RUN_LOCKED'));
  first.setMeta('a', [1]);
  {
    using reader = open('read');
    expect(reader.getMeta('a')).toEqual([1]);
  }
  first[Symbol.dispose]();
  expect(Journal.isLocked(folder)).toBe(false);
  open()[Symbol.dispose]();
  expect(Journal.isLocked(join(folder, 'nothing'))).toBe(false);
});

test('what was written survives the sudden death of the process, and its lock does not', () => {
  const program = `
    import { Journal } from ${JSON.stringify(new URL('./journal.ts', import.meta.url).href)};
    const journal = Journal.open(${JSON.stringify(folder)}, 'move', 'write');
    journal.addShards('copy', 1, [{ n: 1 }]);
    journal.setMeta('written', true);
    process.kill(process.pid, 'SIGKILL');
    setInterval(() => {}, 1000);`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', program]);
  expect(child.signal).toBe('SIGKILL');
  expect(Journal.isLocked(folder)).toBe(false);
  using journal = open();
  expect(journal.getMeta('written')).toBe(true);
  expect(journal.counts('copy')).toEqual({ open: 1, done: 0, failed: 0 });
});

test("another job's journal, a newer one and a damaged one are told apart", () => {
  open()[Symbol.dispose]();
  expect(() => open('write', 'backup')).toThrow(code('JOURNAL_FOREIGN'));
  const path = join(folder, 'journal.sqlite');
  const db = new DatabaseSync(path);
  db.exec('PRAGMA user_version = 99');
  db.close();
  expect(() => open()).toThrow(code('JOURNAL_NEWER'));
  for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true });
  writeFileSync(path, 'not a database at all, but long enough to be taken for one'.repeat(100));
  expect(() => open()).toThrow(code('JOURNAL_FOREIGN'));
  expect(Journal.isLocked(folder)).toBe(false);
});
