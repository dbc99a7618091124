/** The types that columns of our files have, and what Parquet makes of them. */

export type ColumnType =
  | { readonly kind: 'boolean' }
  | { readonly kind: 'int16' }
  | { readonly kind: 'int32' }
  | { readonly kind: 'int64' }
  | { readonly kind: 'float32' }
  | { readonly kind: 'float64' }
  /** At most 38 digits. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  /** Days since 1970. */
  | { readonly kind: 'date' }
  /** Microseconds since midnight. */
  | { readonly kind: 'time' }
  /** Microseconds since 1970; `utc`: an instant, and not a local time. */
  | { readonly kind: 'timestamp'; readonly utc: boolean }
  | { readonly kind: 'text' }
  | { readonly kind: 'binary' };

/** A column of a file. Every column may hold nulls. */
export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

/** As the Parquet format names it. */
export function parquetTypeName(type: ColumnType): string {
  switch (type.kind) {
    case 'boolean':
      return 'BOOLEAN';
    case 'int16':
      return 'INT32 (INT 16)';
    case 'int32':
      return 'INT32';
    case 'int64':
      return 'INT64';
    case 'float32':
      return 'FLOAT';
    case 'float64':
      return 'DOUBLE';
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`;
    case 'date':
      return 'DATE';
    case 'time':
      return 'TIME(MICROS)';
    case 'timestamp':
      return `TIMESTAMP(MICROS, ${type.utc ? 'UTC' : 'local'})`;
    case 'text':
      return 'STRING';
    case 'binary':
      return 'BYTE_ARRAY';
  }
}
