/** Columns as Arrow has them: types and fields, and the values of a builder. Reference: the Arrow columnar format. */

import {
  Binary,
  Bool,
  type Data,
  type DataType,
  DateDay,
  Decimal,
  Field,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  makeData,
  TimeMicrosecond,
  TimestampMicrosecond,
  Utf8,
} from 'apache-arrow';
import { BooleanBuilder, BytesBuilder, type ColumnBuilder, type FixedBuilder } from './column-builder.ts';
import type { Column, ColumnType } from './column-type.ts';

export function arrowField({ name, type }: Column): Field {
  return new Field(name, arrowType(type), true);
}

function arrowType(type: ColumnType): DataType {
  switch (type.kind) {
    case 'boolean':
      return new Bool();
    case 'int16':
      return new Int16();
    case 'int32':
      return new Int32();
    case 'int64':
      return new Int64();
    case 'float32':
      return new Float32();
    case 'float64':
      return new Float64();
    case 'decimal':
      return new Decimal(type.scale, type.precision, 128);
    case 'date':
      return new DateDay();
    case 'time':
      return new TimeMicrosecond();
    case 'timestamp':
      return new TimestampMicrosecond(type.utc ? 'UTC' : null);
    case 'text':
      return new Utf8();
    case 'binary':
      return new Binary();
  }
}

/** The values of a builder; partly a view of its memory, good until it is filled again. */
export function arrowData(builder: ColumnBuilder): Data {
  const { length, nullCount } = builder;
  const nullBitmap = nullCount === 0 ? {} : { nullBitmap: builder.validityBytes(0, length) };
  return makeData({
    type: arrowType(builder.type),
    length,
    nullCount,
    ...nullBitmap,
    ...valuesOf(builder),
  } as never);
}

function valuesOf(builder: ColumnBuilder): object {
  if (builder instanceof BytesBuilder) return textValues(builder);
  if (builder instanceof BooleanBuilder) return { data: builder.bits.subarray(0, (builder.length + 7) >> 3) };
  return { data: fixedValues(builder as FixedBuilder) };
}

function textValues(builder: BytesBuilder): { valueOffsets: Int32Array; data: Uint8Array } {
  const { length } = builder;
  const valueOffsets = new Int32Array(length + 1);
  const data = new Uint8Array(builder.bytes);
  for (let i = 0; i < length; i++) {
    const bytes = builder.isNull(i) ? EMPTY : builder.bytesAt(i);
    data.set(bytes, valueOffsets[i]);
    valueOffsets[i + 1] = valueOffsets[i]! + bytes.byteLength;
  }
  return { valueOffsets, data };
}

function fixedValues(builder: FixedBuilder): ArrayLike<number | bigint> {
  const { length, wordsEach } = builder;
  const words = builder.words.subarray(0, length * wordsEach);
  const { buffer, byteOffset } = words;
  switch (builder.type.kind) {
    case 'int16':
      return Int16Array.from(words);
    case 'float32':
      return new Float32Array(buffer, byteOffset, length);
    case 'float64':
      return new Float64Array(buffer, byteOffset, length);
    case 'decimal':
      return new Uint32Array(buffer, byteOffset, words.length);
    default:
      return wordsEach === 2 ? new BigInt64Array(buffer, byteOffset, length) : words;
  }
}

const EMPTY = new Uint8Array();
