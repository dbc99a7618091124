/**
 * Files as readers that are none of ours see them: DuckDB, hyparquet, and the bytes that parquet-wasm finds stored. What
 * a value is called is the same for all readers, and for {@link PostgresOracle}:
 *
 * | of a column | a value is |
 * | --- | --- |
 * | BOOLEAN, integers, STRING | itself |
 * | FLOAT, DOUBLE | its bits, hexadecimal; `NaN` |
 * | DECIMAL | the integer that is stored |
 * | DATE, TIME, TIMESTAMP | days, or microseconds |
 * | BYTE_ARRAY | its bytes, hexadecimal |
 */

import { readFileSync } from 'node:fs';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { type Data, DataType, tableFromIPC } from 'apache-arrow';
import { type FileMetaData, parquetMetadata, parquetRead, type SchemaElement } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { readParquet } from 'parquet-wasm/node';

/** A column of a file; `parquet` as docs/replicate.md names its type. */
export interface FileColumn {
  readonly name: string;
  readonly parquet: string;
}

/** A value for each of the columns that were asked for; null for NULL. */
export type ReadRow = readonly (string | null)[];

export class DuckDb implements Disposable {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  static async open(): Promise<DuckDb> {
    const { DuckDBInstance } = await import('@duckdb/node-api');
    const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
    return new DuckDb(instance, await instance.connect());
  }

  async ask(sql: string): Promise<Record<string, unknown>[]> {
    const reader = await this.#connection.runAndReadAll(sql);
    return reader.getRowObjects();
  }

  /** In the order of the file. @param where a condition in DuckDB's SQL */
  async rows(path: string, columns: readonly FileColumn[], where = 'true'): Promise<ReadRow[]> {
    const selected = columns.map((column, i) => `${duckDbText(column)} AS c${i}`).join(', ');
    const reader = await this.#connection.runAndReadAll(
      `SELECT ${selected} FROM read_parquet(${quotedText(path)}) WHERE ${where}`,
    );
    return reader
      .getRows()
      .map((row) => row.map((value, i) => (value === null ? null : plainText(columns[i]!, value))));
  }

  [Symbol.dispose](): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

export function quotedText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function quotedName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function duckDbText({ name, parquet }: FileColumn): string {
  const quoted = quotedName(name);
  if (parquet === 'BYTE_ARRAY') return `lower(hex(${quoted}))`;
  if (parquet === 'DATE') return `(${quoted} - DATE '1970-01-01')::VARCHAR`;
  if (/^TIME/.test(parquet)) return `epoch_us(${quoted})::VARCHAR`;
  return isFloat(parquet) ? quoted : `${quoted}::VARCHAR`;
}

const isFloat = (parquet: string) => parquet === 'FLOAT' || parquet === 'DOUBLE';

/** Of what DuckDB says. */
function plainText({ parquet }: FileColumn, value: unknown): string {
  if (isFloat(parquet)) return floatBits(parquet, value as number);
  // As many digits behind the point as the scale says.
  return parquet.startsWith('DECIMAL') ? String(BigInt(String(value).replace('.', ''))) : String(value);
}

function floatBits(parquet: string, value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  const bytes = Buffer.alloc(parquet === 'FLOAT' ? 4 : 8);
  if (parquet === 'FLOAT') bytes.writeFloatBE(value);
  else bytes.writeDoubleBE(value);
  return bytes.toString('hex');
}

/** In the order of the file. What is stored is asked for: dates and decimals of the library are not exact. */
export async function hyparquetRows(path: string, columns: readonly FileColumn[]): Promise<ReadRow[]> {
  const file = arrayBufferOf(path);
  const metadata = parquetMetadata(file);
  const names = metadata.schema.slice(1).map(({ name }) => name);
  const places = columns.map(({ name }) => names.indexOf(name));
  const rows: unknown[][] = [];
  await parquetRead({
    file,
    metadata: { ...metadata, schema: metadata.schema.map(asStored) },
    compressors,
    utf8: false,
    rowFormat: 'array',
    onComplete: (read) => rows.push(...read),
  });
  return rows.map((row) => columns.map((column, i) => storedText(column, row[places[i]!])));
}

export function hyparquetMetadata(path: string): FileMetaData {
  return parquetMetadata(arrayBufferOf(path));
}

function arrayBufferOf(path: string): ArrayBuffer {
  return new Uint8Array(readFileSync(path)).buffer;
}

/** Without what the library would convert by. */
function asStored(element: SchemaElement): SchemaElement {
  const { logical_type: _logical, converted_type: _converted, ...stored } = element;
  return stored;
}

function storedText({ parquet }: FileColumn, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (isFloat(parquet)) return floatBits(parquet, value as number);
  if (!(value instanceof Uint8Array)) return String(value);
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (parquet === 'STRING') return bytes.toString('utf8');
  const hex = bytes.toString('hex');
  return parquet === 'BYTE_ARRAY' ? hex : String(BigInt.asIntN(bytes.byteLength * 8, BigInt(`0x${hex}`)));
}

/** In the order of the file; the bytes of each value, hexadecimal, whatever its type. */
export function storedRows(path: string, columns: readonly FileColumn[]): ReadRow[] {
  const table = tableFromIPC(readParquet(readFileSync(path)).intoIPCStream());
  const places = columns.map(({ name }) => table.schema.fields.findIndex((field) => field.name === name));
  return table.batches.flatMap((batch) => {
    const readers = places.map((place) => bytesReader(batch.data.children[place]! as Data));
    return Array.from({ length: batch.numRows }, (_, row) => readers.map((reader) => reader(row)));
  });
}

function bytesReader(data: Data): (row: number) => string | null {
  const { values, valueOffsets, offset } = data as unknown as {
    values: Uint8Array;
    valueOffsets: Int32Array | undefined;
    offset: number;
  };
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const hex = (from: number, to: number) => bytes.toString('hex', from, to);
  return (row) => {
    if (!data.getValid(row)) return null;
    if (valueOffsets !== undefined) return hex(valueOffsets[row]!, valueOffsets[row + 1]!);
    if (DataType.isBool(data.type)) return String((bytes[(offset + row) >> 3]! >> ((offset + row) & 7)) & 1);
    const width = values.BYTES_PER_ELEMENT * data.stride;
    return hex(row * width, (row + 1) * width);
  };
}
