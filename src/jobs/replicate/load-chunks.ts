/** How a full load is cut into chunks, each of which becomes a file, and how a chunk is read. Pure. */

import { type FieldMapping, mapField, selectText } from '../../databases/postgres/field-mapping.ts';
import { cutPages, pageConditions } from '../../databases/postgres/page-ranges.ts';
import { quoteName } from '../../databases/postgres/sql.ts';
import { quotedTable, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import type { Chunk } from './load-ledger.ts';

const PAGE_BYTES = 8192;
/** A chunk less is not worth another file. */
const CHUNK_BYTES_MIN = 16 * 1024 ** 2;
/** Chunks for each worker, so that none waits long for the last one. */
const CHUNKS_A_WORKER = 4;

export interface ChunkSizes {
  /** Of their heap, about. */
  readonly bytesMax: number;
  readonly workers: number;
}

/** How many bytes of a table's heap a chunk has at most, about. */
function chunkBytes(table: SourceTable, { bytesMax, workers }: ChunkSizes): number {
  const fair = Math.max(CHUNK_BYTES_MIN, heapBytes(table) / (workers * CHUNKS_A_WORKER));
  return Math.min(bytesMax, fair);
}

export function heapBytes({ leaves }: SourceTable): number {
  return leaves.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Cuts a table into ranges of pages. @param first the number of its first chunk */
export function cutByPages(table: SourceTable, sizes: ChunkSizes, first = 1): Chunk[] {
  const pagesMax = Math.max(1, Math.ceil(chunkBytes(table, sizes) / PAGE_BYTES));
  const chunks: Chunk[] = [];
  for (const leaf of table.leaves) {
    for (const pages of cutPages(Math.ceil(leaf.bytes / PAGE_BYTES), pagesMax)) {
      chunks.push({
        oid: table.oid,
        leaf: { schema: leaf.schema, name: leaf.name },
        number: first + chunks.length,
        pages,
      });
    }
  }
  return chunks;
}

/**
 * Cuts a table into ranges of its key, which still mean the same rows under another snapshot.
 * @param sample values of the key, in order
 */
export function cutByKeys(
  table: SourceTable,
  sample: readonly string[],
  sizes: ChunkSizes,
  first = 1,
): Chunk[] {
  const count = Math.max(1, Math.min(sample.length, Math.ceil(heapBytes(table) / chunkBytes(table, sizes))));
  const lows = new Set(
    Array.from({ length: count - 1 }, (_, i) => sample[Math.floor(((i + 1) * sample.length) / count)]!),
  );
  const bounds = [null, ...lows, null];
  const column = table.primaryKey[0]!;
  return bounds.slice(0, -1).map((low, i) => ({
    oid: table.oid,
    leaf: { schema: table.schema, name: table.name },
    number: first + i,
    keys: { column, low, high: bounds[i + 1]! },
  }));
}

/** Whether ranges of its key can be told apart here: one column of whole numbers, which changes have too. */
export function hasIntegerKey({ primaryKey, columns }: SourceTable): boolean {
  const [name] = primaryKey;
  const key = columns.find((column) => column.name === name);
  return primaryKey.length === 1 && key !== undefined && !key.generated && INTEGERS.has(key.typeOid);
}

/** bigint, smallint, integer */
const INTEGERS: ReadonlySet<number> = new Set([20, 21, 23]);

/** Some thousand values of the key, in order, spread over the table. */
export function keySampleQuery(table: SourceTable): string {
  const percent = Math.min(100, Math.max(0.001, (SAMPLE_ROWS / Math.max(1, table.rowsEstimate)) * 100));
  const key = quoteName(table.primaryKey[0]!);
  return `SELECT ${key}::text AS key FROM ${quotedTable(table)} TABLESAMPLE SYSTEM (${percent}) ORDER BY ${key}`;
}

const SAMPLE_ROWS = 20_000;

/** The rows of a chunk. */
export function chunkQuery(table: SourceTable, { leaf, pages, keys }: Chunk): string {
  const columns = table.columns.map((column) => selectText(mapField(column)));
  const only = table.partitioned && keys !== undefined ? '' : 'ONLY ';
  const conditions = pages === undefined ? [] : pageConditions(pages);
  if (keys !== undefined) {
    const key = quoteName(keys.column);
    if (keys.low !== null) conditions.push(`${key} >= ${BigInt(keys.low)}`);
    if (keys.high !== null) conditions.push(`${key} < ${BigInt(keys.high)}`);
  }
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  return `SELECT ${columns.join(', ') || quoteName('ctid')} FROM ${only}${quotedTable(leaf)}${where}`;
}

/** The fields of a chunk's rows. */
export function chunkFields(table: SourceTable): FieldMapping[] {
  return table.columns.map(mapField);
}
