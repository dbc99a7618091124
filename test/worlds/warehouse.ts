/** A replica in a DuckDB database as its readers see it, held value by value against what PostgreSQL prints. */

import { DuckDBInstance } from '@duckdb/node-api';
import { expect } from 'vitest';
import { quotedName, quotedText, type ReadRow } from './lake-readers.ts';
import type { PostgresOracle } from './postgres-oracle.ts';

interface WarehouseColumn {
  readonly name: string;
  readonly type: string;
}

export class WarehouseReader {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The rows of a query; the database is `w`. */
  async ask(sql: string): Promise<Record<string, unknown>[]> {
    const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
    const connection = await instance.connect();
    try {
      await connection.run("SET TimeZone = 'UTC'");
      await connection.run(`ATTACH ${quotedText(this.path)} AS w (READ_ONLY)`);
      return (await connection.runAndReadAll(sql)).getRowObjects();
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }

  async columns(schema: string, table: string): Promise<WarehouseColumn[]> {
    const rows = await this.ask(`SELECT column_name AS name, data_type AS type FROM information_schema.columns
      WHERE table_catalog = 'w' AND table_schema = ${quotedText(schema)} AND table_name = ${quotedText(table)}
      ORDER BY ordinal_position`);
    return rows.map(({ name, type }) => ({ name: String(name), type: String(type) }));
  }

  /** Every row, each value as PostgreSQL would print it; what DuckDB cannot hold comes from the side column. */
  async texts(schema: string, table: string, columns: readonly WarehouseColumn[]): Promise<string[]> {
    const hasUnfit = columns.some(({ name }) => name === '_unfit');
    const own = columns.filter(({ name }) => name !== '_unfit');
    const selected = [...own.map(textOf), hasUnfit ? '_unfit::VARCHAR' : 'NULL'].map(
      (sql, i) => `${sql} AS c${i}`,
    );
    const rows = await this.ask(
      `SELECT ${selected.join(', ')} FROM w.${quotedName(schema)}.${quotedName(table)}`,
    );
    return rows.map((row) => {
      const values = Object.values(row);
      const unfit = JSON.parse(String(values.at(-1) ?? '{}')) as Record<string, string>;
      return JSON.stringify(
        own.map(({ name, type }, i) => plainText(type, values[i]) ?? unfit[name] ?? null),
      );
    });
  }
}

/** Fails where the tables of the database are not those of the source, columns, rows and values. */
export async function expectWarehouse(
  reader: WarehouseReader,
  oracle: PostgresOracle,
  tables: readonly string[],
  options: { readonly schema?: string; readonly rowsMin?: number } = {},
): Promise<void> {
  const { schema = 'public', rowsMin = 0 } = options;
  let count = 0;
  for (const table of tables) {
    const columns = await reader.columns(schema, table);
    const own = columns.filter(({ name }) => name !== '_unfit');
    const inSource = await oracle.ask(`SELECT attname::text FROM pg_attribute
      WHERE attrelid = ${quotedText(`${quotedName(schema)}.${quotedName(table)}`)}::regclass AND attnum > 0
        AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`);
    expect(own.map(({ name }) => name).toSorted(), table).toEqual(inSource.map(([name]) => name).toSorted());
    const selected = own.map(sourceText).join(', ');
    const source = await oracle.ask(
      `SELECT ${selected} FROM ONLY ${quotedName(schema)}.${quotedName(table)}`,
    );
    const wanted = source.map((row: ReadRow) => JSON.stringify(row)).toSorted();
    const found = (await reader.texts(schema, table, columns)).toSorted();
    // Of many rows, a few that differ say enough.
    const [lacking, surplus] = [without(wanted, found), without(found, wanted)];
    expect({ table, lacking: lacking.slice(0, 3), surplus: surplus.slice(0, 3) }).toEqual({
      table,
      lacking: [],
      surplus: [],
    });
    expect(
      found.every((row, i) => row === wanted[i]),
      `${table}: as many of each row`,
    ).toBe(true);
    expect(found.length, table).toBe(wanted.length);
    count += found.length;
  }
  expect(count).toBeGreaterThanOrEqual(rowsMin);
}

function without(rows: readonly string[], others: readonly string[]): string[] {
  const there = new Set(others);
  return rows.filter((row) => !there.has(row)).map((row) => row.slice(0, 4000));
}

function textOf({ name, type }: WarehouseColumn): string {
  const quoted = quotedName(name);
  if (type === 'BLOB') return `lower(hex(${quoted}))`;
  // At the end of time DuckDB prints moments inexactly, and local times exactly.
  if (type === 'TIMESTAMP WITH TIME ZONE')
    return `CASE WHEN isinf(${quoted}) THEN ${quoted}::VARCHAR ELSE make_timestamp(epoch_us(${quoted}))::VARCHAR || '+00' END`;
  return isFloat(type) ? quoted : `${quoted}::VARCHAR`;
}

function plainText(type: string, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (isFloat(type)) {
    const bytes = Buffer.alloc(type === 'FLOAT' ? 4 : 8);
    if (Number.isNaN(value)) return 'NaN';
    // DuckDB does not keep the sign of a zero.
    if (value === 0) return bytes.toString('hex');
    if (type === 'FLOAT') bytes.writeFloatBE(value as number);
    else bytes.writeDoubleBE(value as number);
    return bytes.toString('hex');
  }
  const text = String(value);
  if (type.startsWith('DECIMAL')) return text.replace(/^(-?)\./, '$10.');
  // DuckDB has the era behind the day, PostgreSQL at the end.
  return type.startsWith('DATE') || type.startsWith('TIMESTAMP')
    ? text.replace(/ \(BC\)(.*)$/, '$1 BC')
    : text;
}

function sourceText({ name, type }: WarehouseColumn): string {
  const quoted = quotedName(name);
  if (type === 'BLOB') return `encode(${quoted}, 'hex')`;
  const size = type === 'FLOAT' ? 4 : 8;
  if (isFloat(type))
    return `CASE WHEN ${quoted} = 'NaN' THEN 'NaN' ELSE encode(float${size}send(CASE WHEN ${quoted} = 0 THEN 0 ELSE ${quoted} END), 'hex') END`;
  if (type === 'BOOLEAN') return `${quoted}::text`;
  return `CASE WHEN ${quoted} IS DISTINCT FROM NULL THEN format('%s', ${quoted}) END`;
}

function isFloat(type: string): boolean {
  return type === 'FLOAT' || type === 'DOUBLE';
}
