import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { zstdPlain } from './zstd-plain.ts';

const plainOf = (...chunks: Buffer[]) =>
  buffer(zstdPlain(Readable.from(chunks, { objectMode: false }), 'it'));
/** Larger than what is buffered between. */
const BYTES = Buffer.concat([randomBytes(3_000_000), Buffer.alloc(3_000_000)]);
const PACKED = zlib.zstdCompressSync(BYTES);
const cut = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));

test('one frame, however it is cut, comes out whole', async () => {
  for (const size of [PACKED.length, 70_001, PACKED.length - 1])
    expect((await plainOf(...cut(PACKED, size))).equals(BYTES), String(size)).toBe(true);
  expect(await plainOf(zlib.zstdCompressSync(Buffer.alloc(0)))).toHaveLength(0);
});

test('of a second frame nothing is lost in silence, wherever it begins', async () => {
  const small = zlib.zstdCompressSync(Buffer.from('first'));
  for (const chunks of [[Buffer.concat([small, PACKED])], cut(Buffer.concat([PACKED, small]), 100_000)])
    await expect(plainOf(...chunks)).rejects.toThrow(/several frames/);
  for (const chunks of [
    [small, PACKED],
    [small, ...cut(PACKED, 100_000)],
    [...cut(PACKED, 100_000), small],
  ])
    expect(await plainOf(...chunks)).toHaveLength(BYTES.length + 5);
});

test('what is cut short or is no zstd fails', async () => {
  await expect(plainOf(PACKED.subarray(0, -1))).rejects.toThrow();
  await expect(plainOf(...cut(PACKED.subarray(0, PACKED.length / 2), 100_000))).rejects.toThrow();
  await expect(plainOf(Buffer.from('CREATE TABLE'))).rejects.toThrow();
});
