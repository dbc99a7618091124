import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { openTemporaryFolder } from './temporary-folder.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'longshore-temporary-'));
  vi.stubEnv('TMPDIR', parent);
  return () => {
    vi.unstubAllEnvs();
    rmSync(parent, { recursive: true, force: true });
  };
});

test('what a process left that is gone is taken away, and nothing else', () => {
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  const stale = `longshore-replicate-${hostname()}-${gone}-abcdef`;
  const others = [
    `longshore-replicate-${hostname()}-${process.ppid}-abcdef`,
    `longshore-replicate-elsewhere-${gone}-abcdef`,
    `longshore-replicate-${hostname()}-notes`,
    'longshore-other-1',
  ];
  for (const name of [stale, ...others]) mkdirSync(join(parent, name));
  writeFileSync(join(parent, stale, 'transaction-1.spool'), 'x');
  {
    using folder = openTemporaryFolder('replicate');
    using another = openTemporaryFolder('replicate');
    expect(existsSync(folder.path)).toBe(true);
    expect(another.path).not.toBe(folder.path);
    expect(readdirSync(parent)).toHaveLength(others.length + 2);
  }
  expect(readdirSync(parent).sort()).toEqual(others.toSorted());
});

test('a folder that is not there is named, with what to do', () => {
  rmSync(parent, { recursive: true });
  expect(() => openTemporaryFolder('replicate')).toThrow(
    expect.objectContaining({
      code: 'JOURNAL_UNWRITABLE',
      message: expect.stringContaining(parent),
      hint: expect.stringContaining('TMPDIR'),
    }),
  );
});
