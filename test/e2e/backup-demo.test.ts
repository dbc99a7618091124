/** `longshore demo backup`: that it finds the damage and nothing else, and leaves nothing behind. */

import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { installedPgDump } from '../servers/pg-dump.ts';
import { runProgram } from './world.ts';

const installed = (await installedPgDump()) !== undefined;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-demo-'));
  // As root, PostgreSQL is run by another user, who must pass through.
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.skipIf(!installed)('backs up, finds one changed value, and drills', async () => {
  const { code, stdout, stderr } = await runProgram({ env: { TMPDIR: folder }, folder }, [
    'demo',
    'backup',
    '--sample',
    'shop',
  ]);
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toContain('What happened:');
  expect(stdout).toMatch(/✗ table sales\.orders\S* has \d+ rows, and they are not the same\n(?! *✗)/);
  expect(stdout).toMatch(/✓ \S+datadump1\.dump\.zst is restored in PostgreSQL/);
  expect(readdirSync(folder)).toEqual([]);
});
