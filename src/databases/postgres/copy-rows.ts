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

export interface RowDecoder {
  /** Decodes the rows of one message. @returns how many there were */
  decode(bytes: Buffer, at: number, end: number): number;
}

/**
 * @param onUnfit called for each value that its column cannot hold, with the index of its field and its text
 * @param onRow called behind each row
 */
export function copyRowDecoder(
  fields: readonly FieldDecoder[],
  onUnfit: (field: number, text: string) => void,
  onRow: () => void,
): RowDecoder {
  const decoders = fields.map(({ binary }) => binary);
  const builders = fields.map(({ builder }) => builder);
  const count = fields.length;
  let headerSeen = false;
  return {
    decode(bytes, start, end) {
      let at = start;
      let rows = 0;
      if (!headerSeen) {
        headerSeen = true;
        at += HEADER_BYTES + bytes.readInt32BE(at + SIGNATURE_BYTES + 4);
      }
      while (at < end) {
        const present = bytes.readInt16BE(at);
        at += 2;
        if (present === -1) break;
        if (present !== count) {
          throw new LongshoreError(
            'DATABASE_FAILED',
            `a row has ${present} fields where ${count} were asked for`,
          );
        }
        for (let i = 0; i < count; i++) {
          const length = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
          at += 4;
          if (length < 0) {
            builders[i]!.pushNull();
            continue;
          }
          const unfit = decoders[i]!(bytes, at, length);
          if (unfit !== undefined) onUnfit(i, unfit);
          at += length;
        }
        rows++;
        onRow();
      }
      return rows;
    },
  };
}
