/** Asks DuckDB about the files of a replica, as an analyst would: the table as it is now, and a query over it. */

import type { ShownTable } from './sample.ts';

export interface LakeAnswer {
  /** Puts the table together from its files. */
  readonly view: string;
  readonly rowsQuery: string;
  readonly rows: Grid;
  readonly count: number;
  readonly aggregateQuery: string;
  readonly aggregate: Grid;
}

export interface Grid {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const ROWS_SHOWN = 4;

/**
 * The newest change of each key is the row; a row of the full load, which has no commit, is older than every change.
 * Tables get columns, so files are joined by the names of theirs.
 *
 * @returns SQL of DuckDB; paths are below the folder of the files
 */
export function viewOfTable({ schema, table, primaryKey, columns }: ShownTable): string {
  return [
    `CREATE VIEW ${schema}.${table} AS`,
    `SELECT ${columns.join(', ')}`,
    'FROM (SELECT *, row_number() OVER (',
    `        PARTITION BY ${primaryKey.join(', ')} ORDER BY _commit_lsn DESC NULLS LAST, _ordinal DESC) AS nth`,
    `      FROM read_parquet('${schema}/${table}/*.parquet', union_by_name = true))`,
    "WHERE nth = 1 AND Op IS DISTINCT FROM 'D'",
  ].join('\n');
}

/**
 * @param folder with a copy of the files, so that nothing has to be fetched to read a bucket
 * @returns undefined where DuckDB is not installed
 */
export async function queryLake(folder: string, shown: ShownTable): Promise<LakeAnswer | undefined> {
  const duckdb = await installedDuckdb();
  if (duckdb === undefined) return undefined;
  const instance = await duckdb.DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const read = async (sql: string): Promise<Grid> => {
      const reader = await connection.runAndReadAll(sql);
      return { columns: reader.columnNames(), rows: reader.getRows().map((row) => row.map(textOf)) };
    };
    const name = `${shown.schema}.${shown.table}`;
    const view = viewOfTable(shown);
    const rowsQuery = `SELECT * FROM ${name} ORDER BY ${shown.orderBy} LIMIT ${ROWS_SHOWN}`;
    await connection.run(`SET file_search_path = '${folder.replaceAll("'", "''")}'`);
    await connection.run(`CREATE SCHEMA IF NOT EXISTS ${shown.schema}`);
    await connection.run(view);
    return {
      view,
      rowsQuery,
      rows: await read(rowsQuery),
      count: Number((await read(`SELECT count(*) FROM ${name}`)).rows[0]![0]),
      aggregateQuery: shown.aggregate,
      aggregate: await read(shown.aggregate),
    };
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function installedDuckdb(): Promise<typeof import('@duckdb/node-api') | undefined> {
  try {
    return await import('@duckdb/node-api');
  } catch (error) {
    // The package, or the part of it for this platform.
    if (/^(ERR_)?MODULE_NOT_FOUND$/.test((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function textOf(value: unknown): string {
  return value === null ? '' : String(value);
}
