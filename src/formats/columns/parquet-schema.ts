/** Columns as Parquet's schema describes them. Reference: parquet.thrift and LogicalTypes.md of Apache Parquet. */

import type { Column, ColumnType } from './column-type.ts';
import { ThriftStruct } from './thrift-compact.ts';

/** Physical types, by their numbers in the format. */
export const PHYSICAL = {
  boolean: 0,
  int32: 1,
  int64: 2,
  float: 4,
  double: 5,
  byteArray: 6,
  fixed: 7,
} as const;

const OPTIONAL = 1;

interface ParquetType {
  readonly physical: number;
  /** Bytes of a value of fixed length. */
  readonly length?: number;
  /** What readers from before logical types go by. */
  readonly converted?: number;
  readonly logical?: ThriftStruct;
}

export function parquetType(type: ColumnType): ParquetType {
  switch (type.kind) {
    case 'boolean':
      return { physical: PHYSICAL.boolean };
    case 'int16':
      return {
        physical: PHYSICAL.int32,
        converted: 16,
        logical: new ThriftStruct().struct(10, new ThriftStruct().i8(1, 16).bool(2, true)),
      };
    case 'int32':
      return { physical: PHYSICAL.int32 };
    case 'int64':
      return { physical: PHYSICAL.int64 };
    case 'float32':
      return { physical: PHYSICAL.float };
    case 'float64':
      return { physical: PHYSICAL.double };
    case 'decimal':
      return {
        ...decimalStorage(type.precision),
        converted: 5,
        logical: new ThriftStruct().struct(5, new ThriftStruct().i32(1, type.scale).i32(2, type.precision)),
      };
    case 'date':
      return { physical: PHYSICAL.int32, converted: 6, logical: empty(6) };
    case 'time':
      return { physical: PHYSICAL.int64, logical: new ThriftStruct().struct(7, micros(false)) };
    case 'timestamp':
      return {
        physical: PHYSICAL.int64,
        ...(type.utc ? { converted: 10 } : {}),
        logical: new ThriftStruct().struct(8, micros(type.utc)),
      };
    case 'text':
      return { physical: PHYSICAL.byteArray, converted: 0, logical: empty(1) };
    case 'binary':
      return { physical: PHYSICAL.byteArray };
  }
}

/** As readers expect it: the smallest that holds the digits. */
export function decimalStorage(precision: number): { readonly physical: number; readonly length?: number } {
  if (precision <= 9) return { physical: PHYSICAL.int32 };
  if (precision <= 18) return { physical: PHYSICAL.int64 };
  return { physical: PHYSICAL.fixed, length: Math.ceil((precision * Math.log2(10) + 1) / 8) };
}

export function schemaElements(columns: readonly Column[]): ThriftStruct[] {
  const root = new ThriftStruct().binary(4, 'schema').i32(5, columns.length);
  return [root, ...columns.map(elementOf)];
}

function elementOf({ name, type }: Column): ThriftStruct {
  const { physical, length, converted, logical } = parquetType(type);
  const element = new ThriftStruct().i32(1, physical);
  if (length !== undefined) element.i32(2, length);
  element.i32(3, OPTIONAL).binary(4, name);
  if (converted !== undefined) element.i32(6, converted);
  if (type.kind === 'decimal') element.i32(7, type.scale).i32(8, type.precision);
  if (logical !== undefined) element.struct(10, logical);
  return element;
}

function empty(id: number): ThriftStruct {
  return new ThriftStruct().struct(id, new ThriftStruct());
}

function micros(utc: boolean): ThriftStruct {
  return new ThriftStruct().bool(1, utc).struct(2, empty(2));
}
