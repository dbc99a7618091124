/** Reads a table piece by piece: ranges of its key, rows of a range, and a sample. */

import { boundedSample } from '../bounded-sample.ts';
import type { ColumnFacts, KeyRange, NamingRow } from '../database.ts';
import { lendBatches } from '../lend-batches.ts';
import { PageSize } from '../page-size.ts';
import type { Client, PostgresConnections } from './connections.ts';
import type { Doing } from './errors.ts';
import { boundaryStatement, type Statement, sampleStatement, scanStatement, tableOf } from './sql.ts';

/** Pages hold about this many rows where the statistics do not say. */
const ROWS_PER_PAGE_UNKNOWN = 50;

/**
 * Walks the key from boundary to boundary, each found by the database in key order. Tables without a key are
 * cut by page number (CTID); what has neither is one range. The last range is open, for rows still to come.
 *
 * A row of a table without key changes its CTID with every update, so that a pass may miss a row that another
 * session updates meanwhile; the next pass sees it.
 */
export async function* ranges(
  connections: PostgresConnections,
  doing: Doing,
  column: ColumnFacts,
  rowsPerRange: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<KeyRange> {
  if (column.primaryKey.length === 0) {
    yield* pageRanges(connections, doing, column, rowsPerRange, signal);
    return;
  }
  let after: readonly string[] | undefined;
  for (;;) {
    const [boundary] = await connections.use(doing, signal, (client) =>
      queryRows(client, boundaryStatement(column, after, rowsPerRange)),
    );
    if (boundary === undefined) break;
    const upTo = boundary as string[];
    yield after === undefined ? { upTo } : { after, upTo };
    after = upTo;
  }
  yield after === undefined ? {} : { after };
}

/** TID range scans exist since PostgreSQL 14; before, every range would read the whole table. */
async function* pageRanges(
  connections: PostgresConnections,
  doing: Doing,
  column: ColumnFacts,
  rowsPerRange: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<KeyRange> {
  let pages = 0;
  if (column.kind === 'table') {
    const [row] = await connections.use(doing, signal, (client) =>
      queryRows(client, {
        text: `SELECT CASE WHEN current_setting('server_version_num')::int < 140000 THEN 0 ELSE
                 pg_relation_size($1::regclass) / current_setting('block_size')::int END`,
        values: [tableOf(column)],
      }),
    );
    pages = Number(row?.[0] ?? 0);
  }
  const rowsPerPage =
    pages > 0 && column.rowsEstimate > 0 ? column.rowsEstimate / pages : ROWS_PER_PAGE_UNKNOWN;
  const step = Math.max(1, Math.round(rowsPerRange / rowsPerPage));
  let after: readonly string[] | undefined;
  for (let page = step; page < pages; page += step) {
    // Item numbers start at 1, so that (page,0) lies between two pages.
    const upTo = [`(${page},0)`];
    yield after === undefined ? { upTo } : { after, upTo };
    after = upTo;
  }
  yield after === undefined ? {} : { after };
}

/**
 * The rows of a range. With a key, each batch is a statement of its own that goes on after the last row: no
 * transaction stays open and no connection is held while the batch is worked on. Without, a cursor is.
 */
export async function* scan(
  connections: PostgresConnections,
  doing: Doing,
  column: ColumnFacts,
  range: KeyRange,
  options: { readonly needles?: readonly string[]; readonly batchRows: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<NamingRow[]> {
  const { needles, batchRows } = options;
  const page = new PageSize(batchRows);
  if (column.primaryKey.length === 0) {
    const statement = scanStatement(column, range, needles, batchRows);
    yield* cursorScan(connections, doing, statement, page, signal);
    return;
  }
  let rest = range;
  for (;;) {
    const limit = page.rows;
    const statement = scanStatement(column, rest, needles, limit);
    const rows = await connections.use(doing, signal, (client) => namingRows(client, statement));
    page.took(rows);
    if (rows.length > 0) yield rows;
    if (rows.length < limit) return;
    rest = { ...range, after: rows[rows.length - 1]!.primaryKey };
  }
}

/** Reads through a cursor, which holds its connection and a snapshot until the last batch is taken. */
function cursorScan(
  connections: PostgresConnections,
  doing: Doing,
  statement: Statement,
  page: PageSize,
  signal: AbortSignal | undefined,
): AsyncGenerator<NamingRow[]> {
  return lendBatches((emit) =>
    connections.use(doing, signal, async (client) => {
      await client.query('BEGIN READ ONLY');
      await client.query(`DECLARE longshore_scan NO SCROLL CURSOR FOR ${statement.text}`, [
        ...statement.values,
      ]);
      for (;;) {
        const fetch = `FETCH ${page.rows} FROM longshore_scan`;
        const rows = await namingRows(client, { text: fetch, values: [] });
        page.took(rows);
        if (rows.length === 0 || !(await emit(rows))) break;
        signal?.throwIfAborted();
      }
      await client.query('ROLLBACK');
    }),
  );
}

/** About `count` values from all over the table: from a share of the pages where the table is large. */
export function sample(
  connections: PostgresConnections,
  doing: Doing,
  column: ColumnFacts,
  count: number,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  return connections.use(doing, signal, (client) =>
    boundedSample(column, count, (some) => sampleValues(client, column, some)),
  );
}

async function sampleValues(client: Client, column: ColumnFacts, count: number): Promise<string[]> {
  const sampled = column.kind === 'table' || column.kind === 'partitioned';
  if (sampled && column.rowsEstimate > 50_000) {
    const percent = Math.min(100, Math.max(0.0001, (count * 400) / column.rowsEstimate));
    const rows = await queryRows(client, sampleStatement(column, count, percent));
    if (rows.length >= count / 2) return rows.map((row) => row[0] as string);
  }
  const rows = await queryRows(client, sampleStatement(column, count, undefined));
  return rows.map((row) => row[0] as string);
}

/** Rows as arrays of columns. */
export async function queryRows(client: Client, statement: Statement): Promise<(string | number | null)[][]> {
  const { text, values } = statement;
  const result = await client.query<(string | number | null)[]>({
    text,
    values: [...values],
    rowMode: 'array',
  });
  return result.rows;
}

/** Runs a statement whose columns are the key and, last, the value. */
export async function namingRows(client: Client, statement: Statement): Promise<NamingRow[]> {
  const rows = (await queryRows(client, statement)) as string[][];
  const naming = new Array<NamingRow>(rows.length);
  for (let index = 0; index < rows.length; index++) {
    const primaryKey = rows[index]!;
    const value = primaryKey.pop()!;
    naming[index] = { primaryKey, value };
  }
  return naming;
}
