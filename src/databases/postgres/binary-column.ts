/**
 * Decoders of a column of many rows, from the binary form of the send functions.
 * The loops are alike and stand in each decoder nevertheless: one loop that called the decoders could not be compiled
 * for any of them.
 */

import type { BooleanBuilder, BytesBuilder, FixedBuilder } from '../../formats/columns/column-builder.ts';
import { DAYS_2000, formatTimestamp, MICROS_2000, MICROS_OF_DAY } from './civil-time.ts';
import type { FieldMapping } from './field-mapping.ts';
import { notFinite, pushDecimalBinary, pushNumericText } from './numeric-field.ts';

/**
 * Pushes a value for each row.
 * @param places where the bytes of each value begin, behind the four of its length; -1 for NULL
 * @param onUnfit called for each value that the column cannot hold, with its text; the column got a null
 */
export type DecodeColumn = (
  view: DataView,
  places: Int32Array,
  rows: number,
  onUnfit: (row: number, text: string) => void,
) => void;

const TWO_32 = 4_294_967_296;
const MICROS_2000_HIGH = Math.floor(MICROS_2000 / TWO_32);
const MICROS_2000_LOW = MICROS_2000 % TWO_32;
const INT32_MAX = 0x7fff_ffff;
const INT32_MIN = -0x8000_0000;

export const BINARY = {
  boolean:
    (builder: BooleanBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) builder.pushNull();
        else builder.push(view.getInt8(at) !== 0);
      }
    },

  int16:
    (builder: FixedBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) builder.pushNull();
        else builder.push32(view.getInt16(at));
      }
    },

  int32:
    (builder: FixedBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) builder.pushNull();
        else builder.push32(view.getInt32(at));
      }
    },

  int64:
    (builder: FixedBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) builder.pushNull();
        else builder.push64(view.getInt32(at), view.getInt32(at + 4));
      }
    },

  /** oid: 32 bits without a sign. */
  uint32:
    (builder: FixedBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) builder.pushNull();
        else builder.push64(0, view.getInt32(at));
      }
    },

  float32:
    (builder: FixedBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        const word = at < 0 ? 0 : view.getInt32(at);
        if (at < 0) builder.pushNull();
        else builder.push32((word & 0x7fff_ffff) > 0x7f80_0000 ? NAN_32 : word);
      }
    },

  float64:
    (builder: FixedBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) {
          builder.pushNull();
          continue;
        }
        const high = view.getInt32(at);
        const low = view.getInt32(at + 4);
        const exponent = high & 0x7ff0_0000;
        const isNan = exponent === 0x7ff0_0000 && ((high & 0xf_ffff) !== 0 || low !== 0);
        if (isNan) builder.push64(NAN_64_HIGH, 0);
        else builder.push64(high, low);
      }
    },

  decimal: (builder: FixedBuilder, { column }: FieldMapping): DecodeColumn => {
    const { precision, scale } = column.type as { precision: number; scale: number };
    return (view, places, rows, onUnfit) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        const special = at < 0 ? undefined : notFinite(view, at);
        if (special !== undefined) onUnfit(row, special);
        if (at < 0 || special !== undefined) builder.pushNull();
        else pushDecimalBinary(builder, view, at, precision, scale);
      }
    };
  },

  /** numeric without a precision: any number of digits. */
  numericText:
    (builder: BytesBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) builder.pushNull();
        else pushNumericText(builder, view, at);
      }
    },

  date:
    (builder: FixedBuilder): DecodeColumn =>
    (view, places, rows, onUnfit) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        const days = at < 0 ? 0 : view.getInt32(at);
        const infinite = days === INT32_MAX || days === INT32_MIN;
        if (infinite) onUnfit(row, days > 0 ? 'infinity' : '-infinity');
        if (at < 0 || infinite) builder.pushNull();
        else builder.push32(days + DAYS_2000);
      }
    },

  time:
    (builder: FixedBuilder): DecodeColumn =>
    (view, places, rows, onUnfit) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) {
          builder.pushNull();
          continue;
        }
        const high = view.getInt32(at);
        const low = view.getInt32(at + 4);
        if (high * TWO_32 + (low >>> 0) < MICROS_OF_DAY) builder.push64(high, low);
        else {
          // No time of day elsewhere.
          builder.pushNull();
          onUnfit(row, '24:00:00');
        }
      }
    },

  timestamp: (builder: FixedBuilder, { column }: FieldMapping): DecodeColumn => {
    const { utc } = column.type as { utc: boolean };
    return (view, places, rows, onUnfit) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) {
          builder.pushNull();
          continue;
        }
        const high = view.getInt32(at);
        const low = view.getUint32(at + 4);
        const sum = low + MICROS_2000_LOW;
        const carried = high + MICROS_2000_HIGH + (sum >= TWO_32 ? 1 : 0);
        // Infinity is the largest and the smallest of 64 bits, also to readers; beyond the year 294247 the sum has no room.
        const isLast = carried === INT32_MAX && (sum | 0) === -1;
        if (carried > INT32_MAX || isLast || (high === INT32_MIN && low === 0)) {
          builder.pushNull();
          onUnfit(row, unfitTimestamp(high, low, utc));
        } else builder.push64(carried, sum | 0);
      }
    };
  },

  uuid:
    (builder: BytesBuilder): DecodeColumn =>
    (view, places, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = places[row]!;
        if (at < 0) builder.pushNull();
        else pushUuid(builder, view, at);
      }
    },

  text: copied(0),
  /** Text behind a byte that tells its version. */
  jsonb: copied(1),
  bytes: copied(0),
  ewkb: copied(0),
};

/** The text form has one NaN; of the binary form, every other one becomes the same. */
const NAN_32 = 0x7fc0_0000;
const NAN_64_HIGH = 0x7ff8_0000;

/** Bytes as they are, but for so many at their beginning. */
function copied(skipped: number): (builder: BytesBuilder) => DecodeColumn {
  return (builder) => (view, places, rows) => {
    for (let row = 0; row < rows; row++) {
      const at = places[row]!;
      if (at < 0) builder.pushNull();
      else builder.pushFrom(view, at + skipped, view.getInt32(at - 4) - skipped);
    }
  };
}

const UUID_BYTES = 36;
const DASH = 0x2d;

function pushUuid(builder: BytesBuilder, view: DataView, at: number): void {
  const into = builder.reserveView(UUID_BYTES);
  const to = builder.end;
  into.setInt32(to, fourDigits(view, at), true);
  into.setInt32(to + 4, fourDigits(view, at + 2), true);
  into.setInt8(to + 8, DASH);
  into.setInt32(to + 9, fourDigits(view, at + 4), true);
  into.setInt8(to + 13, DASH);
  into.setInt32(to + 14, fourDigits(view, at + 6), true);
  into.setInt8(to + 18, DASH);
  into.setInt32(to + 19, fourDigits(view, at + 8), true);
  into.setInt8(to + 23, DASH);
  into.setInt32(to + 24, fourDigits(view, at + 10), true);
  into.setInt32(to + 28, fourDigits(view, at + 12), true);
  into.setInt32(to + 32, fourDigits(view, at + 14), true);
  builder.pushed(to + UUID_BYTES);
}

/** The hexadecimal digits of two bytes, as one number whose lowest byte is the first of them. */
function fourDigits(view: DataView, at: number): number {
  return TWO_DIGITS[view.getUint8(at)]! | (TWO_DIGITS[view.getUint8(at + 1)]! << 16);
}

const TWO_DIGITS = Uint16Array.from({ length: 256 }, (_, byte) => {
  const [high, low] = byte.toString(16).padStart(2, '0');
  return high!.charCodeAt(0) | (low!.charCodeAt(0) << 8);
});

function unfitTimestamp(high: number, low: number, utc: boolean): string {
  if (high === INT32_MAX && low === 0xffff_ffff) return 'infinity';
  if (high === INT32_MIN) return '-infinity';
  const micros = (BigInt(high) << 32n) | BigInt(low);
  const days = Number(micros / BigInt(MICROS_OF_DAY));
  return `${formatTimestamp(days + DAYS_2000, Number(micros % BigInt(MICROS_OF_DAY)))}${utc ? '+00' : ''}`;
}
