/** Rows are the same wherever their pieces are cut, and a long one is not kept. */

import { expect, test } from 'vitest';
import { RowDigest } from '../row-digest.ts';
import { CopyLines } from './copy-lines.ts';

const linesOf = (bytes: Buffer, pieceBytes: number): CopyLines => {
  const lines = new CopyLines(new RowDigest());
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    lines.push(piece, 0, piece.byteLength);
  }
  return lines;
};

test('rows of any length have the same sum, however they come', () => {
  const long = `${'0123456789'.repeat(300_000)}\\.`;
  const bytes = Buffer.from(`a\n${long}\n\n\\N\n${long}x\n\\.\n`);
  const whole = linesOf(bytes, bytes.byteLength);
  expect(whole).toMatchObject({ ended: true, whole: true, digest: { rows: 5 } });
  for (const pieceBytes of [65_536, 999_983, 1_048_576]) {
    const lines = linesOf(bytes, pieceBytes);
    expect(lines).toMatchObject({ ended: true, whole: true });
    expect(String(lines.digest)).toBe(String(whole.digest));
  }
});

test('a row of half a gigabyte takes little memory', () => {
  const lines = new CopyLines(new RowDigest());
  const piece = Buffer.alloc(65_536, 'x');
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let i = 0; i < 8192; i++) {
    lines.push(piece, 0, piece.byteLength);
    if (i % 64 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  expect(most).toBeLessThan(200 * 1024 ** 2);
});
