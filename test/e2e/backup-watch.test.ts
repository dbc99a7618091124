/** `longshore backup --watch` as a program: the folder of two independent programs, looked into once and on a schedule. */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { runProgram } from './world.ts';

let folder: string;
let watch: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-backup-'));
  mkdirSync(join(folder, 'dumps'));
  watch = join(folder, 'dumps', 'datadump.sql');
  return () => rmSync(folder, { recursive: true, force: true });
});

const args = (...more: string[]) => [
  ...['backup', '--watch', 'dumps/datadump.sql', '--to', `file://${folder}/backups/`],
  ...['--time-zone', 'UTC', '--settle', '10ms', ...more],
];
const world = () => ({ folder, env: {} });
const today = () => new Date().toISOString().slice(0, 10);
/** Without what is being written, under hidden names, and without manifests. */
const keys = () =>
  readdirSync(join(folder, 'backups', today()))
    .filter((name) => !name.startsWith('.') && !name.endsWith('.manifest.json'))
    .sort();
const log = () => {
  const lines = readFileSync(join(folder, '.longshore', 'backup-log', `${today()}.log`), 'utf8');
  return lines
    .trim()
    .split('\n')
    .map((line) => line.split(',')[2]);
};

test('no file, a file, and two dumps on one day', async () => {
  const none = await runProgram(world(), args());
  expect([none.code, none.stdout]).toEqual([0, 'there is no file to upload\n']);
  for (const content of ['one', 'two']) {
    writeFileSync(watch, content);
    const { code, stdout, stderr } = await runProgram(world(), args('--json'));
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'shipped', watched: { shipped: [{ bytes: 3 }] } });
  }
  expect(keys()).toEqual(['datadump1.sql', 'datadump2.sql']);
  expect(readdirSync(join(folder, 'dumps'))).toEqual([]);
  expect(log()).toEqual([
    'there is no file to upload',
    'file successfully uploaded',
    'file successfully uploaded',
  ]);
});

test('on a schedule, until it is stopped', async () => {
  writeFileSync(watch, 'one');
  const result = await runProgram(world(), args('--schedule', '* * * * * *', '--json'), {}, (kill) => {
    let written = false;
    const timer = setInterval(() => {
      if (!existsSync(join(folder, 'backups', today(), 'datadump1.sql'))) return;
      if (!written) writeFileSync(watch, 'two');
      written = true;
      if (keys().length < 2) return;
      clearInterval(timer);
      kill('SIGTERM');
    }, 50);
  });
  expect(result.code, result.stderr).toBe(130);
  expect(keys()).toEqual(['datadump1.sql', 'datadump2.sql']);
});

test('what is said wrongly is told in one line', async () => {
  const { code, stderr } = await runProgram(world(), args('--key', '{day}/dump{index}'));
  expect(code).toBe(2);
  expect(stderr).toContain('{day} means nothing');
  const schedule = await runProgram(world(), args('--schedule', 'daily'));
  expect([schedule.code, schedule.stderr]).toEqual([2, expect.stringContaining('no schedule: daily')]);
});

test('a job of longshore.yaml by its name, beside which flags alone describe another one', async () => {
  const jobs = { one: { watch, to: `file://${join(folder, 'jobs')}/` }, two: { watch } };
  writeFileSync(join(folder, 'longshore.yaml'), JSON.stringify({ backup: jobs }));
  writeFileSync(watch, 'one');
  const named = await runProgram(world(), ['backup', 'one', '--time-zone', 'UTC']);
  expect([named.code, named.stdout]).toEqual([
    0,
    expect.stringMatching(/datadump1\.sql: 3 bytes are in file:.*jobs/),
  ]);
  const unnamed = await runProgram(world(), ['backup']);
  expect([unnamed.code, unnamed.stderr]).toEqual([2, expect.stringContaining('2 backup jobs: one, two')]);
  const flags = await runProgram(world(), args());
  expect([flags.code, flags.stdout]).toEqual([0, 'there is no file to upload\n']);
});
