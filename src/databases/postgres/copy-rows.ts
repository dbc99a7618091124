/**
 * Decodes rows of `COPY … (FORMAT binary)` into columns.
 * Reference: "Binary Format" under COPY: a header, then for each row the number of fields and each field's length and
 * bytes; a number of -1 ends them. The server sends a row a message.
 */

import { LongshoreError } from '../../errors.ts';
import type { FieldDecoder } from './field-decoder.ts';

const SIGNATURE_BYTES = 11;
/** Signature, flags, length of the extension. */
const HEADER_BYTES = 19;
const ROWS_MAX = 1024;

export interface RowDecoder {
  /** Decodes the rows of one message. @returns how many there were */
  decode(bytes: Buffer, at: number, end: number): number;
}

/**
 * Decodes each message by itself.
 * @param onUnfit called for each value that its column cannot hold, with the index of its field and its text
 * @param onRow called behind each row
 */
export function copyRowDecoder(
  fields: readonly FieldDecoder[],
  onUnfit: (field: number, text: string) => void,
  onRow: () => void,
): RowDecoder {
  const block = new RowBlock(fields, (rows, unfit) => {
    let told = 0;
    for (let row = 0; row < rows; row++) {
      for (; unfit[told]?.row === row; told++) onUnfit(unfit[told]!.field, unfit[told]!.text);
      onRow();
    }
  });
  return {
    decode(bytes, at, end) {
      block.add(bytes, at, end);
      return block.flush();
    },
  };
}

/** A value that its column cannot hold; the column has a null there. */
export interface UnfitValue {
  /** In the block, from 0. */
  readonly row: number;
  /** The index of its field. */
  readonly field: number;
  readonly text: string;
}

/**
 * Rows whose fields have been found, and are then decoded a column after the other: a loop over values of one type is
 * several times as quick as a call of another decoder for each value.
 */
export class RowBlock {
  readonly #fields: readonly FieldDecoder[];
  readonly #onRows: (rows: number, unfit: readonly UnfitValue[]) => void;
  /** Of each field, where it lies in each row; -1 for NULL. */
  readonly #places: readonly Int32Array[];
  #bytes: Buffer | undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #rows = 0;
  #headerSeen = false;

  /** @param onRows called behind the rows of each block, with the values that did not fit, in the order of their rows */
  constructor(fields: readonly FieldDecoder[], onRows: (rows: number, unfit: readonly UnfitValue[]) => void) {
    this.#fields = fields;
    this.#onRows = onRows;
    this.#places = fields.map(() => new Int32Array(ROWS_MAX));
  }

  /** Another copy begins, with a header of its own. */
  begin(): void {
    this.#headerSeen = false;
  }

  /** Takes the rows of one message. Its bytes are read until {@link flush}. */
  readonly add = (bytes: Buffer, start: number, end: number): void => {
    if (bytes !== this.#bytes) {
      this.flush();
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const view = this.#view;
    let at = start;
    if (!this.#headerSeen) {
      this.#headerSeen = true;
      at += HEADER_BYTES + view.getInt32(at + SIGNATURE_BYTES + 4);
    }
    const places = this.#places;
    const count = places.length;
    while (at < end) {
      const present = view.getInt16(at);
      at += 2;
      if (present === -1) break;
      if (present !== count) {
        throw new LongshoreError(
          'DATABASE_FAILED',
          `a row has ${present} fields where ${count} were asked for`,
        );
      }
      const row = this.#rows;
      for (let i = 0; i < count; i++) {
        const length = view.getInt32(at);
        at += 4;
        places[i]![row] = length < 0 ? -1 : at;
        if (length > 0) at += length;
      }
      if (++this.#rows === ROWS_MAX) this.flush();
    }
  };

  /** Decodes the rows that were added. @returns how many there were */
  flush(): number {
    const rows = this.#rows;
    if (rows === 0) return 0;
    this.#rows = 0;
    const unfit: UnfitValue[] = [];
    for (const [field, { binary }] of this.#fields.entries()) {
      binary(this.#view, this.#places[field]!, rows, (row, text) => unfit.push({ row, field, text }));
    }
    unfit.sort((a, b) => a.row - b.row);
    this.#onRows(rows, unfit);
    return rows;
  }
}
