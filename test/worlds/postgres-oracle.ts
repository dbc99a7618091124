/** What PostgreSQL itself says of its values: by its output functions and its own arithmetic, in words of the readers. */

import pg from 'pg';
import { type FileColumn, quotedName, type ReadRow } from './lake-readers.ts';

export class PostgresOracle implements AsyncDisposable {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(url: string): Promise<PostgresOracle> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';
      SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = 'content'`);
    return new PostgresOracle(client);
  }

  /** Runs statements, and gives the rows of the last one as the server writes them. */
  async ask(sql: string): Promise<ReadRow[]> {
    const asText = { getTypeParser: () => (value: string) => value };
    const result: unknown = await this.#client.query({ text: sql, rowMode: 'array', types: asText });
    const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult;
    return last.rows as unknown as ReadRow[];
  }

  /**
   * The rows of a table, the columns as readers of files give them.
   * @param table as SQL names it
   * @param order in SQL
   */
  async rows(table: string, columns: readonly FileColumn[], order: string): Promise<ReadRow[]> {
    const selected = columns.map(postgresText).join(', ');
    return await this.ask(`SELECT ${selected} FROM ${table} ORDER BY ${order}`);
  }

  /** What the side column holds of each row: pairs of a column and a text. */
  async unfit(table: string, columns: readonly FileColumn[], order: string): Promise<[string, string][][]> {
    const selected = columns.map(unfitText).join(', ');
    const rows = await this.ask(`SELECT ${selected} FROM ${table} ORDER BY ${order}`);
    return rows.map((row) =>
      row.flatMap((value, i): [string, string][] => (value === null ? [] : [[columns[i]!.name, value]])),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client.end();
  }
}

/** The last microsecond that 64 bits count from 1970, but for the one that readers take for infinity. */
const LAST = "'294247-01-10 04:00:54.775806'";

function postgresText({ name, parquet }: FileColumn): string {
  const v = quotedName(name);
  const micros = `trunc(extract(epoch FROM ${v}) * 1000000)::text`;
  if (parquet === 'BOOLEAN') return `${v}::text`;
  if (parquet === 'FLOAT')
    return `CASE WHEN ${v} = 'NaN' THEN 'NaN' ELSE encode(float4send(${v}), 'hex') END`;
  if (parquet === 'DOUBLE')
    return `CASE WHEN ${v} = 'NaN' THEN 'NaN' ELSE encode(float8send(${v}), 'hex') END`;
  if (parquet.startsWith('DECIMAL')) {
    const scale = Number(/,(\d+)/.exec(parquet)![1]);
    return `CASE WHEN ${v} <> 'NaN' THEN trunc(${v} * 1${'0'.repeat(scale)}::numeric)::text END`;
  }
  if (parquet === 'DATE') return `CASE WHEN isfinite(${v}) THEN (${v} - '1970-01-01'::date)::text END`;
  if (parquet.startsWith('TIME(')) return `CASE WHEN ${v} < '24:00:00' THEN ${micros} END`;
  if (parquet.startsWith('TIMESTAMP'))
    return `CASE WHEN isfinite(${v}) AND ${v} <= ${LAST} THEN ${micros} END`;
  // Hexadecimal already; so is a geometry.
  return parquet === 'BYTE_ARRAY' ? `lower(replace(${v}::text, '\\x', ''))` : v;
}

function unfitText({ name, parquet }: FileColumn): string {
  const v = quotedName(name);
  if (parquet.startsWith('DECIMAL')) return `CASE WHEN ${v} = 'NaN' THEN 'NaN' END`;
  if (parquet === 'DATE') return `CASE WHEN NOT isfinite(${v}) THEN ${v}::text END`;
  if (parquet.startsWith('TIME(')) return `CASE WHEN ${v} = '24:00:00' THEN '24:00:00' END`;
  if (parquet.startsWith('TIMESTAMP'))
    return `CASE WHEN NOT isfinite(${v}) OR ${v} > ${LAST} THEN ${v}::text END`;
  return 'NULL';
}
