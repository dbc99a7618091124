/** Reads a table piece by piece: ranges of its key, rows of a range, and a sample. */

import { boundedSample } from '../bounded-sample.ts';
import type { ColumnFacts, KeyRange, NamingRow } from '../database.ts';
import { lendBatches } from '../lend-batches.ts';
import { PageSize } from '../page-size.ts';
import type { Client, MysqlConnections } from './connections.ts';
import type { Doing } from './errors.ts';
import { boundaryText, keyBoundsText, sampleText, scanText } from './sql.ts';

/** A table of up to this many rows is sampled by sorting all of it in random order. */
const SORTED_ROWS_MAX = 50_000;
/** Values read at each of the places that a sample takes them from. */
const VALUES_PER_PLACE = 10;

/**
 * Walks the key from boundary to boundary, each found by the database in key order. A table without a key is one
 * range. The last range is open, for rows still to come.
 */
export async function* ranges(
  connections: MysqlConnections,
  doing: Doing,
  column: ColumnFacts,
  rowsPerRange: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<KeyRange> {
  let after: readonly string[] | undefined;
  while (column.primaryKey.length > 0) {
    const [upTo] = await connections.use(doing, signal, (client) =>
      client.rows(boundaryText(column, after, rowsPerRange)),
    );
    if (upTo === undefined) break;
    yield after === undefined ? { upTo } : { after, upTo };
    after = upTo;
  }
  yield after === undefined ? {} : { after };
}

/**
 * The rows of a range. With a key, each batch is a statement of its own that goes on after the last row: no
 * transaction stays open and no connection is held while the batch is worked on. Without, rows are streamed.
 */
export async function* scan(
  connections: MysqlConnections,
  doing: Doing,
  column: ColumnFacts,
  range: KeyRange,
  options: { readonly needles?: readonly string[]; readonly batchRows: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<NamingRow[]> {
  const { needles, batchRows } = options;
  const page = new PageSize(batchRows);
  if (column.primaryKey.length === 0) {
    yield* streamScan(connections, doing, scanText(column, range, needles, batchRows), page, signal);
    return;
  }
  let rest = range;
  for (;;) {
    const limit = page.rows;
    const sql = scanText(column, rest, needles, limit);
    const rows = await connections.use(doing, signal, (client) => client.rows(sql));
    const last = rows.at(-1)?.slice(0, -1);
    const naming = namingRows(rows);
    page.took(naming);
    if (naming.length > 0) yield naming;
    if (rows.length < limit) return;
    rest = { ...range, after: last };
  }
}

function streamScan(
  connections: MysqlConnections,
  doing: Doing,
  sql: string,
  page: PageSize,
  signal: AbortSignal | undefined,
): AsyncGenerator<NamingRow[]> {
  return lendBatches((emit) =>
    connections.use(doing, signal, async (client) => {
      let batch: string[][] = [];
      let bytes = 0;
      for await (const row of client.stream(sql)) {
        batch.push(row);
        bytes += (row.at(-1) as string | null)?.length ?? 0;
        if (!page.isFull(batch.length, bytes)) continue;
        if (!(await emit(namingRows(batch)))) return;
        signal?.throwIfAborted();
        batch = [];
        bytes = 0;
      }
      if (batch.length > 0) await emit(namingRows(batch));
    }),
  );
}

/**
 * About `count` values from all over the table: in random order where it is small, else at random places of a
 * numeric key, else from both ends.
 */
export function sample(
  connections: MysqlConnections,
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
  const values = (rows: string[][]) => rows.map((row) => row[0]!).filter((value) => value !== null);
  if (column.rowsEstimate <= SORTED_ROWS_MAX)
    return values(await client.rows(sampleText(column, count, 'anywhere')));
  const boundsText = keyBoundsText(column);
  const sampled: string[] = [];
  if (boundsText !== undefined) {
    const [[first, last] = []] = await client.rows(boundsText);
    const [low, high] = [BigInt(first ?? 0), BigInt(last ?? 0)];
    const places = BigInt(Math.max(1, Math.ceil(count / VALUES_PER_PLACE)));
    for (let place = 0n; place < places; place++) {
      const after = low - 1n + ((high - low + 1n) * place) / places;
      const rows = await client.rows(sampleText(column, VALUES_PER_PLACE, { after: [String(after)] }));
      sampled.push(...values(rows));
    }
    return [...new Set(sampled)].slice(0, count);
  }
  sampled.push(...values(await client.rows(sampleText(column, Math.ceil(count / 2), 'start'))));
  if (column.primaryKey.length > 0) {
    sampled.push(...values(await client.rows(sampleText(column, Math.floor(count / 2), 'end'))));
  }
  return sampled;
}

/** Rows whose columns are the key and, last, the value. A value whose bytes are no text is left out. */
export function namingRows(rows: readonly string[][]): NamingRow[] {
  const naming: NamingRow[] = [];
  for (const primaryKey of rows) {
    const value = primaryKey.pop() as string | null;
    if (value !== null) naming.push({ primaryKey, value });
  }
  return naming;
}
