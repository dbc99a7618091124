import { existsSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { Spool } from './spool.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-spool-'));
  path = join(folder, 'transaction-1.spool');
  return () => rmSync(folder, { recursive: true, force: true });
});

/** Adds a message as it comes: somewhere within the bytes of a chunk. */
function add(spool: Spool, xid: number, message: Buffer): void {
  const around = Buffer.from('around');
  const at = around.byteLength;
  spool.add(xid, Buffer.concat([around, message, around]), at, at + message.byteLength);
}

const read = (spool: Spool) => Array.from(spool.messages(), (bytes) => Buffer.from(bytes));
/** Bytes that tell a shifted message from the right one. */
const filled = (length: number, seed: number) => Buffer.alloc(length, `${seed}:abcdefghijklmnopqrstuvwxyz`);

test('messages come back in order, without those of parts that were rolled back', () => {
  using spool = new Spool(path);
  for (const [xid, text] of [
    [0, 'relation'],
    [700, 'one'],
    [701, 'two'],
    [702, ''],
    [701, 'three'],
    [700, ''],
    [4_294_967_295, 'four'],
  ] as const) {
    add(spool, xid, Buffer.from(text));
  }
  spool.abort(701);
  spool.abort(999);
  expect(read(spool).map(String)).toEqual(['relation', 'one', '', '', 'four']);
  spool.abort(4_294_967_295);
  expect(read(spool).map(String)).toEqual(['relation', 'one', '', '']);
});

test('what comes after a part was rolled back is void as well where it is of that part', () => {
  using spool = new Spool(path);
  spool.abort(701);
  add(spool, 701, Buffer.from('void'));
  add(spool, 702, Buffer.from('kept'));
  expect(read(spool).map(String)).toEqual(['kept']);
});

test('an empty spool has no messages', () => {
  using spool = new Spool(path);
  expect(read(spool)).toEqual([]);
});

test('messages of every size, small and larger than any buffer', () => {
  const sizes = [
    1,
    300 * 1024,
    0,
    256 * 1024 - 8,
    256 * 1024 - 7,
    700,
    2_000_000,
    256 * 1024,
    3,
    256 * 1024 - 16,
  ];
  const messages = sizes.map(filled);
  using spool = new Spool(path);
  for (const message of messages) add(spool, 1, message);
  const back = read(spool);
  expect(back.map(({ byteLength }) => byteLength)).toEqual(sizes);
  expect(back.every((bytes, i) => bytes.equals(messages[i]!))).toBe(true);
});

test('headers and messages that lie across the edge of the buffer', () => {
  for (let first = 256 * 1024 - 24; first <= 256 * 1024; first++) {
    using spool = new Spool(path);
    const messages = [filled(first, 1), filled(5, 2), filled(20, 3)];
    for (const message of messages) add(spool, 1, message);
    const back = read(spool);
    expect(back.length === 3 && back.every((bytes, i) => bytes.equals(messages[i]!))).toBe(true);
  }
});

test('whatever is put in comes out', () => {
  const size = fc.oneof(
    { weight: 4, arbitrary: fc.nat(200) },
    { weight: 2, arbitrary: fc.nat(100_000) },
    { weight: 1, arbitrary: fc.integer({ min: 250_000, max: 600_000 }) },
  );
  const xid = fc.constantFrom(0, 1, 2, 3);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(xid, size), { maxLength: 40, size: 'max' }),
      fc.subarray([1, 2, 3]),
      (parts, aborted) => {
        using spool = new Spool(path);
        const messages = parts.map(([of, length], i) => ({ of, bytes: filled(length, i) }));
        for (const { of, bytes } of messages) add(spool, of, bytes);
        for (const part of aborted) spool.abort(part);
        const kept = messages.filter(({ of }) => !aborted.includes(of));
        const back = read(spool);
        expect(back).toHaveLength(kept.length);
        expect(back.every((bytes, i) => bytes.equals(kept[i]!.bytes))).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

test('what is added after it was read comes behind', () => {
  using spool = new Spool(path);
  add(spool, 1, Buffer.from('one'));
  expect(read(spool).map(String)).toEqual(['one']);
  add(spool, 1, Buffer.from('two'));
  expect(read(spool).map(String)).toEqual(['one', 'two']);
});

test('a large transaction lies on disk, and goes with the spool', () => {
  {
    using spool = new Spool(path);
    for (let i = 0; i < 100; i++) add(spool, 1, filled(50_000, i));
    expect(statSync(path).size).toBeGreaterThan(4_000_000);
  }
  expect(existsSync(path)).toBe(false);
});

test('what a process before left there is not read', () => {
  const before = new Spool(path);
  add(before, 1, Buffer.from('of before'));
  read(before);
  using spool = new Spool(path);
  add(spool, 1, Buffer.from('x'));
  expect(read(spool).map(String)).toEqual(['x']);
  before[Symbol.dispose]();
});

test('a spool that is cut off is not read to its end', () => {
  using spool = new Spool(path);
  add(spool, 1, Buffer.alloc(100, 'x'));
  expect(read(spool)).toHaveLength(1);
  truncateSync(path, 50);
  expect(() => read(spool)).toThrow('cut off');
});
