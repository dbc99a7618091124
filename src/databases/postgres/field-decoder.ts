/**
 * Decoders of single values of rows, from the binary form of the send functions and from the text form of the output
 * functions, into columns. Both forms of a value end as the same bytes: the full load and the change stream share them.
 */

import {
  type BooleanBuilder,
  type BytesBuilder,
  type ColumnBuilder,
  type FixedBuilder,
  newBuilder,
} from '../../formats/columns/column-builder.ts';
import { formatTimestamp, IsoReader } from './civil-time.ts';
import type { FieldMapping } from './field-mapping.ts';
import { notFinite, pushDecimalBinary, pushDecimalText, pushNumericText } from './numeric-field.ts';

/**
 * Pushes one value.
 * @returns undefined where the column holds the value; else its text, and the column got a null
 */
export type DecodeField = (bytes: Buffer, at: number, length: number) => string | undefined;

export interface FieldDecoder {
  readonly builder: ColumnBuilder;
  readonly binary: DecodeField;
  readonly text: DecodeField;
}

export function fieldDecoder(mapping: FieldMapping): FieldDecoder {
  const builder = newBuilder(mapping.column.type);
  const { binary, text } = DECODERS[mapping.decoder](builder as never, mapping);
  return { builder, binary, text };
}

type Decoders = { binary: DecodeField; text: DecodeField };

const MICROS_2000 = 946_684_800_000_000;
const MICROS_2000_HIGH = Math.floor(MICROS_2000 / 4_294_967_296);
const MICROS_2000_LOW = MICROS_2000 % 4_294_967_296;
const DAYS_2000 = 10_957;
const MICROS_OF_DAY = 86_400_000_000;
const INT32_MAX = 0x7fff_ffff;
const INT32_MIN = -0x8000_0000;
const INT64_MAX = 9_223_372_036_854_775_807n;

const DECODERS = {
  boolean: (builder: BooleanBuilder): Decoders => ({
    binary(bytes, at) {
      builder.push(bytes[at] !== 0);
      return undefined;
    },
    text(bytes, at) {
      builder.push(bytes[at] === 0x74);
      return undefined;
    },
  }),

  int16: (builder: FixedBuilder): Decoders => ({
    binary(bytes, at) {
      builder.push32(bytes.readInt16BE(at));
      return undefined;
    },
    text: smallInteger(builder),
  }),

  int32: (builder: FixedBuilder): Decoders => ({
    binary(bytes, at) {
      builder.push32(int32(bytes, at));
      return undefined;
    },
    text: smallInteger(builder),
  }),

  int64: (builder: FixedBuilder): Decoders => ({
    binary(bytes, at) {
      builder.push64(int32(bytes, at), int32(bytes, at + 4));
      return undefined;
    },
    text: largeInteger(builder),
  }),

  /** oid: 32 bits without a sign. */
  uint32: (builder: FixedBuilder): Decoders => ({
    binary(bytes, at) {
      builder.push64(0, int32(bytes, at));
      return undefined;
    },
    text: largeInteger(builder),
  }),

  float32: (builder: FixedBuilder): Decoders => ({
    binary(bytes, at) {
      const word = int32(bytes, at);
      builder.push32((word & 0x7fff_ffff) > 0x7f80_0000 ? NAN_32 : word);
      return undefined;
    },
    text(bytes, at, length) {
      FLOAT.setFloat32(0, nearestFloat32(bytes.toString('latin1', at, at + length)));
      builder.push32(FLOAT.getInt32(0));
      return undefined;
    },
  }),

  float64: (builder: FixedBuilder): Decoders => ({
    binary(bytes, at) {
      const high = int32(bytes, at);
      const low = int32(bytes, at + 4);
      const exponent = high & 0x7ff0_0000;
      if (exponent === 0x7ff0_0000 && ((high & 0xf_ffff) !== 0 || low !== 0)) builder.push64(NAN_64_HIGH, 0);
      else builder.push64(high, low);
      return undefined;
    },
    text(bytes, at, length) {
      FLOAT.setFloat64(0, floatOf(bytes, at, length));
      builder.push64(FLOAT.getInt32(0), FLOAT.getInt32(4));
      return undefined;
    },
  }),

  decimal: (builder: FixedBuilder, { column }: FieldMapping): Decoders => {
    const { precision, scale } = column.type as { precision: number; scale: number };
    return {
      binary(bytes, at) {
        const special = notFinite(bytes, at);
        if (special === undefined) pushDecimalBinary(builder, bytes, at, precision, scale);
        else builder.pushNull();
        return special;
      },
      text(bytes, at, length) {
        const last = bytes[at + length - 1]!;
        if (last >= 0x30 && last <= 0x39) {
          pushDecimalText(builder, bytes, at, length, precision, scale);
          return undefined;
        }
        builder.pushNull();
        return bytes.toString('latin1', at, at + length);
      },
    };
  },

  /** numeric without a precision: any number of digits. */
  numericText: (builder: BytesBuilder): Decoders => ({
    binary(bytes, at) {
      pushNumericText(builder, bytes, at);
      return undefined;
    },
    text: copied(builder),
  }),

  date: (builder: FixedBuilder): Decoders => ({
    binary(bytes, at) {
      const days = int32(bytes, at);
      if (days === INT32_MAX || days === INT32_MIN) {
        builder.pushNull();
        return days > 0 ? 'infinity' : '-infinity';
      }
      builder.push32(days + DAYS_2000);
      return undefined;
    },
    text(bytes, at, length) {
      const iso = new IsoReader(bytes, at, length);
      if (iso.infinite) {
        builder.pushNull();
        return bytes.toString('latin1', at, at + length);
      }
      builder.push32(iso.date());
      return undefined;
    },
  }),

  time: (builder: FixedBuilder): Decoders => ({
    binary(bytes, at) {
      return pushTime(builder, int32(bytes, at) * 4_294_967_296 + (int32(bytes, at + 4) >>> 0));
    },
    text(bytes, at, length) {
      return pushTime(builder, new IsoReader(bytes, at, length).time());
    },
  }),

  timestamp: (builder: FixedBuilder, { column }: FieldMapping): Decoders => {
    const utc = column.type.kind === 'timestamp' && column.type.utc;
    return {
      binary(bytes, at) {
        const high = int32(bytes, at);
        const low = int32(bytes, at + 4) >>> 0;
        const sum = low + MICROS_2000_LOW;
        const carried = high + MICROS_2000_HIGH + (sum >= 4_294_967_296 ? 1 : 0);
        // Infinity is the largest and the smallest of 64 bits, also to readers; beyond the year 294247 the sum has no room.
        const isLast = carried === INT32_MAX && (sum | 0) === -1;
        if (carried > INT32_MAX || isLast || (high === INT32_MIN && low === 0)) {
          builder.pushNull();
          return unfitTimestamp(high, low, utc);
        }
        builder.push64(carried, sum | 0);
        return undefined;
      },
      text(bytes, at, length) {
        const iso = new IsoReader(bytes, at, length);
        if (iso.infinite) {
          builder.pushNull();
          return bytes.toString('latin1', at, at + length);
        }
        const days = iso.date();
        iso.skip();
        const time = iso.time();
        const micros = days * MICROS_OF_DAY + time - iso.offset() * 1_000_000;
        if (Number.isSafeInteger(micros)) {
          const high = Math.floor(micros / 4_294_967_296);
          builder.push64(high, (micros - high * 4_294_967_296) | 0);
          return undefined;
        }
        const exact = BigInt(days) * BigInt(MICROS_OF_DAY) + BigInt(time - iso.offset() * 1_000_000);
        if (exact >= INT64_MAX) {
          builder.pushNull();
          return bytes.toString('latin1', at, at + length);
        }
        pushBig(builder, exact);
        return undefined;
      },
    };
  },

  uuid: (builder: BytesBuilder): Decoders => ({
    binary(bytes, at) {
      const into = builder.reserve(36);
      let to = builder.end;
      for (let i = 0; i < 16; i++) {
        const pair = HEX[bytes[at + i]!]!;
        into[to++] = pair >> 8;
        into[to++] = pair & 0xff;
        if (i === 3 || i === 5 || i === 7 || i === 9) into[to++] = 0x2d;
      }
      builder.pushed(to);
      return undefined;
    },
    text: copied(builder),
  }),

  /** Text, or bytes that are the same in both forms. */
  text: (builder: BytesBuilder): Decoders => ({ binary: copied(builder), text: copied(builder) }),

  /** jsonb is text behind a byte that tells its version. */
  jsonb: (builder: BytesBuilder): Decoders => ({
    binary(bytes, at, length) {
      builder.push(bytes, at + 1, length - 1);
      return undefined;
    },
    text: copied(builder),
  }),

  /** bytea: `\x` and hexadecimal digits. */
  bytes: (builder: BytesBuilder): Decoders => ({
    binary: copied(builder),
    text: hexadecimal(builder, 2),
  }),

  /** geometry and geography: extended well-known binary, hexadecimal in text. */
  ewkb: (builder: BytesBuilder): Decoders => ({ binary: copied(builder), text: hexadecimal(builder, 0) }),
};

export type DecoderName = keyof typeof DECODERS;

const FLOAT = new DataView(new ArrayBuffer(8));

/** The text form has one NaN; of the binary form, every other one becomes the same. */
const NAN_32 = 0x7fc0_0000;
const NAN_64_HIGH = 0x7ff8_0000;

/** The two digits of each byte, as one number. */
const HEX = Uint16Array.from({ length: 256 }, (_, byte) => {
  const [high, low] = byte.toString(16).padStart(2, '0');
  return (high!.charCodeAt(0) << 8) | low!.charCodeAt(0);
});

function int32(bytes: Buffer, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function copied(builder: BytesBuilder): DecodeField {
  return (bytes, at, length) => {
    builder.push(bytes, at, length);
    return undefined;
  };
}

function hexadecimal(builder: BytesBuilder, skipped: number): DecodeField {
  return (bytes, at, length) => {
    const size = (length - skipped) / 2;
    const into = builder.reserve(size);
    let to = builder.end;
    for (let i = at + skipped; i < at + length; i += 2)
      into[to++] = (nibble(bytes[i]!) << 4) | nibble(bytes[i + 1]!);
    builder.pushed(to);
    return undefined;
  };
}

function nibble(c: number): number {
  return c <= 0x39 ? c - 0x30 : (c | 0x20) - 0x57;
}

function smallInteger(builder: FixedBuilder): DecodeField {
  return (bytes, at, length) => {
    builder.push32(exactInteger(bytes, at, length));
    return undefined;
  };
}

function largeInteger(builder: FixedBuilder): DecodeField {
  return (bytes, at, length) => {
    if (length <= 15) {
      const value = exactInteger(bytes, at, length);
      const high = Math.floor(value / 4_294_967_296);
      builder.push64(high, (value - high * 4_294_967_296) | 0);
    } else pushBig(builder, BigInt(bytes.toString('latin1', at, at + length)));
    return undefined;
  };
}

function exactInteger(bytes: Buffer, at: number, length: number): number {
  const negative = bytes[at] === 0x2d;
  let value = 0;
  for (let i = negative ? at + 1 : at; i < at + length; i++) value = value * 10 + bytes[i]! - 0x30;
  return negative ? -value : value;
}

function pushBig(builder: FixedBuilder, value: bigint): void {
  builder.push64(Number(BigInt.asIntN(32, value >> 32n)), Number(BigInt.asIntN(32, value)));
}

/** `NaN`, `Infinity`, `-Infinity` and every finite number read as JavaScript does. */
function floatOf(bytes: Buffer, at: number, length: number): number {
  return Number(bytes.toString('latin1', at, at + length));
}

/** Not by way of the nearest double: of a decimal almost between two floats, that may be exactly between them. */
function nearestFloat32(text: string): number {
  const double = Number(text);
  const float = Math.fround(double);
  const other = 2 * double - float;
  if (float === double || Math.fround(other) !== other) return float;
  const order = compareDecimal(text, double);
  if (order === 0) return float;
  return order > 0 ? Math.max(float, other) : Math.min(float, other);
}

/** Whether a decimal is more than a double (> 0), less (< 0) or the same. */
function compareDecimal(text: string, double: number): number {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(text)!;
  let decimal = BigInt(sign! + whole! + fraction);
  const tens = Number(exponent) - fraction.length;
  FLOAT.setFloat64(0, double);
  const bits = FLOAT.getBigUint64(0);
  // A double between two floats is not subnormal.
  let binary = (bits & 0xf_ffff_ffff_ffffn) | 0x10_0000_0000_0000n;
  if (double < 0) binary = -binary;
  const twos = Number((bits >> 52n) & 0x7ffn) - 1075;
  if (tens > 0) decimal *= 10n ** BigInt(tens);
  else binary *= 10n ** BigInt(-tens);
  if (twos > 0) binary *= 2n ** BigInt(twos);
  else decimal *= 2n ** BigInt(-twos);
  return decimal === binary ? 0 : decimal > binary ? 1 : -1;
}

/** `24:00:00` is no time of day elsewhere. */
function pushTime(builder: FixedBuilder, micros: number): string | undefined {
  if (micros >= MICROS_OF_DAY) {
    builder.pushNull();
    return '24:00:00';
  }
  const high = Math.floor(micros / 4_294_967_296);
  builder.push64(high, (micros - high * 4_294_967_296) | 0);
  return undefined;
}

function unfitTimestamp(high: number, low: number, utc: boolean): string {
  if (high === INT32_MAX && low === 0xffff_ffff) return 'infinity';
  if (high === INT32_MIN) return '-infinity';
  const micros = (BigInt(high) << 32n) | BigInt(low);
  const days = Number(micros / BigInt(MICROS_OF_DAY));
  return `${formatTimestamp(days + DAYS_2000, Number(micros % BigInt(MICROS_OF_DAY)))}${utc ? '+00' : ''}`;
}
