import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { HashedFile } from './hashed-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'longshore-hashed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PIECES = [['one', '', 'two'], [''], [], ['x'.repeat(3_000_000), 'three']].map((texts) =>
  texts.map((text) => Buffer.from(text)),
);
const WHOLE = Buffer.concat(PIECES.flat());

test.each(['write', 'writeSync'] as const)('%s: all pieces in order, and their hash', async (how) => {
  const path = join(folder, how);
  await using file = await HashedFile.open(path);
  for (const pieces of PIECES) await file[how](pieces);
  expect(file.finish()).toBe(createHash('sha256').update(WHOLE).digest('hex'));
  expect(readFileSync(path).equals(WHOLE)).toBe(true);
});

test('closed between writes', async () => {
  const path = join(folder, 'closed');
  await using file = await HashedFile.open(path);
  for (const pieces of PIECES) {
    await file.write(pieces);
    await file.close();
  }
  expect(file.finish()).toBe(createHash('sha256').update(WHOLE).digest('hex'));
  expect(readFileSync(path).equals(WHOLE)).toBe(true);
});

test('what was there is gone', async () => {
  const path = join(folder, 'again');
  for (const text of ['a longer one', 'short']) {
    await using file = await HashedFile.open(path);
    await file.write([Buffer.from(text)]);
  }
  expect(readFileSync(path, 'utf8')).toBe('short');
});
