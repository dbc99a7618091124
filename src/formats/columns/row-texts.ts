/** Rows of Arrow tables as texts that are equal when the values are: what is stored, not what a library makes of it. */

import { type Data, DataType, type Table, type Vector } from 'apache-arrow';

/** A row: the text of each column by its name; null for NULL. */
export type RowText = Readonly<Record<string, string | null>>;

/** Of 128 bits. */
const DECIMAL_WORDS = 4;

/** @param names columns to take; one that the table has not is NULL */
export function* rowTexts(table: Table, names: readonly string[]): Generator<RowText> {
  const vectors = names.map((name) => table.getChild(name));
  for (const [chunk, { numRows }] of table.batches.entries()) {
    const readers = vectors.map((vector) => (vector === null ? () => null : readerOf(vector, chunk)));
    for (let row = 0; row < numRows; row++) {
      // A column may be called __proto__.
      const texts = Object.create(null) as Record<string, string | null>;
      for (const [i, name] of names.entries()) texts[name] = readers[i]!(row);
      yield texts;
    }
  }
}

function readerOf(vector: Vector, chunk: number): (row: number) => string | null {
  const data = vector.data[chunk]! as Data;
  const { values, valueOffsets, offset } = data as unknown as {
    values: ArrayLike<number | bigint> & { readonly length: number };
    valueOffsets: Int32Array | undefined;
    offset: number;
  };
  const valid = (row: number): boolean => data.getValid(row);
  if (valueOffsets !== undefined) {
    const bytes = Buffer.from(
      (values as unknown as Uint8Array).buffer,
      (values as unknown as Uint8Array).byteOffset,
    );
    return (row) => (valid(row) ? bytes.toString('latin1', valueOffsets[row], valueOffsets[row + 1]) : null);
  }
  if (DataType.isBool(data.type)) {
    const bits = values as unknown as Uint8Array;
    return (row) => (valid(row) ? String((bits[(offset + row) >> 3]! >> ((offset + row) & 7)) & 1) : null);
  }
  if (!DataType.isDecimal(data.type)) return (row) => (valid(row) ? String(values[row]) : null);
  const { scale } = data.type;
  return (row) => (valid(row) ? decimalText(values, row * DECIMAL_WORDS, scale) : null);
}

/** @param words of 32 bits, the least significant of each number first */
function decimalText(words: ArrayLike<number | bigint>, at: number, scale: number): string {
  let unsigned = 0n;
  for (let i = DECIMAL_WORDS - 1; i >= 0; i--) unsigned = (unsigned << 32n) | BigInt(words[at + i]!);
  const value = BigInt.asIntN(128, unsigned);
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  const sign = value < 0n ? '-' : '';
  const whole = digits.slice(0, digits.length - scale);
  return scale === 0 ? sign + whole : `${sign}${whole}.${digits.slice(-scale)}`;
}
