/**
 * What each type of PostgreSQL becomes in a file, so that no value is rounded. Pure.
 *
 * A type that is `native` is decoded from both forms in which the server sends values; every other one is kept as the
 * text of its output function, with the session set to ISO dates, UTC, hexadecimal bytea and exact floats.
 */

import type { Column, ColumnType } from '../../formats/columns/column-type.ts';
import type { DecoderName } from './field-decoder.ts';
import { quoteName } from './sql.ts';

/** A column as the catalogue, or a relation message of the change stream, describes it. */
export interface SourceColumn {
  readonly name: string;
  /** Of the type itself; of a domain, that of the type under it. */
  readonly typeOid: number;
  /** -1 for none; of a domain, that which the domain adds. */
  readonly typeModifier: number;
  /** As `format_type` prints it; of a domain, the domain's own name. */
  readonly typeName: string;
  /** As `pg_type.typtype`: `b` for a base type, `e` for an enum; of a domain, that of the type under it. */
  readonly typeKind: string;
}

export interface FieldMapping {
  readonly column: Column;
  readonly decoder: DecoderName;
  /** Whether the binary form is read; else the text form is asked for. */
  readonly native: boolean;
  /** Values that the column cannot hold and that go to the side column; undefined where there are none. */
  readonly unfit: string | undefined;
}

/** The column that takes, as JSON, the text of values that their own columns cannot hold. */
export const UNFIT_COLUMN = '_unfit';

export function mapField(source: SourceColumn): FieldMapping {
  const { name } = source;
  const map = (
    type: ColumnType,
    decoder: DecoderName,
    more: { native?: boolean; unfit?: string } = {},
  ): FieldMapping => ({
    column: { name, type },
    decoder,
    native: more.native ?? true,
    unfit: more.unfit,
  });
  switch (source.typeOid) {
    case TYPE.bool:
      return map({ kind: 'boolean' }, 'boolean');
    case TYPE.int2:
      return map({ kind: 'int16' }, 'int16');
    case TYPE.int4:
      return map({ kind: 'int32' }, 'int32');
    case TYPE.int8:
      return map({ kind: 'int64' }, 'int64');
    case TYPE.oid:
    case TYPE.xid:
    case TYPE.cid:
      return map({ kind: 'int64' }, 'uint32');
    case TYPE.float4:
      return map({ kind: 'float32' }, 'float32');
    case TYPE.float8:
      return map({ kind: 'float64' }, 'float64');
    case TYPE.numeric: {
      const type = decimalOf(source.typeModifier);
      return type === undefined
        ? map({ kind: 'text' }, 'numericText')
        : map(type, 'decimal', { unfit: 'NaN' });
    }
    case TYPE.date:
      return map({ kind: 'date' }, 'date', { unfit: 'infinity, -infinity' });
    case TYPE.time:
      return map({ kind: 'time' }, 'time', { unfit: '24:00:00' });
    case TYPE.timestamp:
      return map({ kind: 'timestamp', utc: false }, 'timestamp', { unfit: TIMESTAMP_UNFIT });
    case TYPE.timestamptz:
      return map({ kind: 'timestamp', utc: true }, 'timestamp', { unfit: TIMESTAMP_UNFIT });
    case TYPE.uuid:
      return map({ kind: 'text' }, 'uuid');
    case TYPE.bytea:
      return map({ kind: 'binary' }, 'bytes');
    case TYPE.jsonb:
      return map({ kind: 'text' }, 'jsonb');
    case TYPE.text:
    case TYPE.varchar:
    case TYPE.bpchar:
    case TYPE.name:
    case TYPE.json:
      return map({ kind: 'text' }, 'text');
  }
  if (source.typeKind === 'e') return map({ kind: 'text' }, 'text');
  // PostGIS has no fixed oids; its types are known by name, which users' own types and arrays must not be taken for.
  if (source.typeKind === 'b' && /^(?:\w+\.)?(?:geometry|geography)(?:\([^)]*\))?$/.test(source.typeName))
    return map({ kind: 'binary' }, 'ewkb');
  return map({ kind: 'text' }, 'text', { native: false });
}

/** What is selected of a column to be copied in binary form. */
export function selectText({ column, native }: FieldMapping): string {
  return native ? quoteName(column.name) : outputText(column.name);
}

/**
 * The text of the output function, as the change stream has it; a cast gives another for some types (inet, char).
 * A composite with a NULL in it is neither NULL nor `IS NOT NULL`.
 */
export function outputText(name: string): string {
  const quoted = quoteName(name);
  return `CASE WHEN ${quoted} IS DISTINCT FROM NULL THEN format('%s', ${quoted}) END`;
}

const TIMESTAMP_UNFIT = 'infinity, -infinity, from 294247-01-10 04:00:54.775807 on';

/** A decimal that holds every finite value of numeric(p, s); undefined where 38 digits are too few. */
function decimalOf(typeModifier: number): ColumnType | undefined {
  if (typeModifier < 4) return undefined;
  const packed = typeModifier - 4;
  const precision = (packed >> 16) & 0xffff;
  // Eleven bits with a sign.
  const scale = ((packed & 0x7ff) ^ 1024) - 1024;
  const digits = scale < 0 ? precision - scale : Math.max(precision, scale);
  if (digits > 38) return undefined;
  return { kind: 'decimal', precision: digits, scale: Math.max(0, scale) };
}

/** Object identifiers of built-in types, which no server changes. */
const TYPE = {
  bool: 16,
  bytea: 17,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  xid: 28,
  cid: 29,
  json: 114,
  float4: 700,
  float8: 701,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
} as const;
