/** CSV: quoting, ends of lines, and chunks cut anywhere. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readCsv } from './csv.ts';

async function* inChunks(text: string, bytes: number): AsyncGenerator<Uint8Array> {
  const all = Buffer.from(text);
  for (let at = 0; at < all.length; at += bytes) yield all.subarray(at, at + bytes);
}

async function read(text: string, bytes = 1024): Promise<string[][]> {
  const records: string[][] = [];
  for await (const batch of readCsv(inChunks(text, bytes)))
    for (const record of batch) records.push([...record]);
  return records;
}

describe('readCsv', () => {
  test.each([
    [
      'a,b\nc,d\n',
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    [
      'a,b\r\nc,d',
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    ['"a,b","say ""no"""\n', [['a,b', 'say "no"']]],
    ['"line\nbreak","cr\r\nlf"\r\n', [['line\nbreak', 'cr\r\nlf']]],
    [
      'a,\n,b\n',
      [
        ['a', ''],
        ['', 'b'],
      ],
    ],
    ['""\n\n"x"', [['x']]],
    ['"ends in cr\r"\r\ny\r\n', [['ends in cr\r'], ['y']]],
    ['"a"b,c', [['ab', 'c']]],
    ['', []],
  ])('%j', async (text, expected) => {
    for (const bytes of [1, 2, 3, 1024]) expect(await read(text, bytes)).toEqual(expected);
  });

  test('what is written quoted is read back, wherever chunks are cut', async () => {
    const field = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', 'é', '🚢', ' ') });
    const records = fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(records, fc.integer({ min: 1, max: 9 }), async (rows, bytes) => {
        const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
        const text = rows.map((row) => `${row.map(quoted).join(',')}\n`).join('');
        expect(await read(text, bytes)).toEqual(rows);
      }),
    );
  });

  test('text that ends inside quotes is refused', async () => {
    await expect(read('a,"b')).rejects.toMatchObject({ code: 'CHECK_FAILED' });
  });

  test('a quote that is never closed does not fill the memory', async () => {
    await expect(read(`"${'x'.repeat(2 * 1024 ** 2)}`, 65_536)).rejects.toThrow(/mebibyte/);
  });
});
