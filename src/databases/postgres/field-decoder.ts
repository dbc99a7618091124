/**
 * Decoders of fields into columns: from the text form of the output functions a value at a time, from the binary form of
 * the send functions a column of rows at a time (`binary-column.ts`). Both forms of a value end as the same bytes: the
 * full load and the change stream share them.
 */

import {
  type BooleanBuilder,
  type BytesBuilder,
  type ColumnBuilder,
  type FixedBuilder,
  newBuilder,
} from '../../formats/columns/column-builder.ts';
import { BINARY, type DecodeColumn } from './binary-column.ts';
import { IsoReader, MICROS_OF_DAY } from './civil-time.ts';
import type { FieldMapping } from './field-mapping.ts';
import { pushDecimalText } from './numeric-field.ts';

/**
 * Pushes one value.
 * @returns undefined where the column holds the value; else its text, and the column got a null
 */
export type DecodeField = (bytes: Buffer, at: number, length: number) => string | undefined;

export interface FieldDecoder {
  readonly builder: ColumnBuilder;
  readonly binary: DecodeColumn;
  readonly text: DecodeField;
}

export function fieldDecoder(mapping: FieldMapping): FieldDecoder {
  const builder = newBuilder(mapping.column.type);
  return {
    builder,
    binary: BINARY[mapping.decoder](builder as never, mapping),
    text: TEXT[mapping.decoder](builder as never, mapping),
  };
}

export type DecoderName = keyof typeof TEXT;

const INT64_MAX = 9_223_372_036_854_775_807n;

const TEXT = {
  boolean:
    (builder: BooleanBuilder): DecodeField =>
    (bytes, at) => {
      builder.push(bytes[at] === 0x74);
      return undefined;
    },

  int16: smallInteger,
  int32: smallInteger,
  int64: largeInteger,
  /** oid: 32 bits without a sign. */
  uint32: largeInteger,

  float32:
    (builder: FixedBuilder): DecodeField =>
    (bytes, at, length) => {
      FLOAT.setFloat32(0, nearestFloat32(bytes.toString('latin1', at, at + length)));
      builder.push32(FLOAT.getInt32(0));
      return undefined;
    },

  float64:
    (builder: FixedBuilder): DecodeField =>
    (bytes, at, length) => {
      FLOAT.setFloat64(0, floatOf(bytes, at, length));
      builder.push64(FLOAT.getInt32(0), FLOAT.getInt32(4));
      return undefined;
    },

  decimal: (builder: FixedBuilder, { column }: FieldMapping): DecodeField => {
    const { precision, scale } = column.type as { precision: number; scale: number };
    return (bytes, at, length) => {
      const last = bytes[at + length - 1]!;
      if (last >= 0x30 && last <= 0x39) {
        pushDecimalText(builder, bytes, at, length, precision, scale);
        return undefined;
      }
      builder.pushNull();
      return bytes.toString('latin1', at, at + length);
    };
  },

  /** numeric without a precision: any number of digits. */
  numericText: copied,

  date:
    (builder: FixedBuilder): DecodeField =>
    (bytes, at, length) => {
      const iso = new IsoReader(bytes, at, length);
      if (iso.infinite) {
        builder.pushNull();
        return bytes.toString('latin1', at, at + length);
      }
      builder.push32(iso.date());
      return undefined;
    },

  time:
    (builder: FixedBuilder): DecodeField =>
    (bytes, at, length) =>
      pushTime(builder, new IsoReader(bytes, at, length).time()),

  timestamp:
    (builder: FixedBuilder): DecodeField =>
    (bytes, at, length) => {
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

  uuid: copied,
  text: copied,
  jsonb: copied,

  /** bytea: `\x` and hexadecimal digits. */
  bytes: hexadecimal(2),

  /** geometry and geography: extended well-known binary, hexadecimal in text. */
  ewkb: hexadecimal(0),
};

const FLOAT = new DataView(new ArrayBuffer(8));

function copied(builder: BytesBuilder): DecodeField {
  return (bytes, at, length) => {
    builder.push(bytes, at, length);
    return undefined;
  };
}

function hexadecimal(skipped: number): (builder: BytesBuilder) => DecodeField {
  return (builder) => (bytes, at, length) => {
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
