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
  return (row) => {
    if (!valid(row)) return null;
    const words: string[] = [];
    for (let i = 0; i < DECIMAL_WORDS; i++) words.push(String(values[row * DECIMAL_WORDS + i]));
    return words.join(',');
  };
}
