/** How the tables of a database are cut into parts, each of which becomes an object of its own. Pure. */

import type { CatalogueTable, HeapSize } from './dump-catalogue.ts';
import { cutPages, type PageRange, pageConditions } from './page-ranges.ts';
import { quoteName } from './sql.ts';
import { quotedTable } from './table-catalogue.ts';
import { copyOut } from './table-digests.ts';

export interface SplitPart {
  readonly table: CatalogueTable;
  /** All of it where it is left out. */
  readonly pages?: PageRange | undefined;
  /** About so many in the database, without indexes. */
  readonly bytes: number;
}

export interface PartSizes {
  /** Connections that read. */
  readonly jobs: number;
  /** A part less is not worth another object. */
  readonly bytesMin?: number | undefined;
  readonly bytesMax?: number | undefined;
}

const BYTES_MIN = 8 * 1024 ** 2;
const BYTES_MAX = 256 * 1024 ** 2;
/** Parts for each connection, so that none waits long for the last one. */
const PARTS_A_JOB = 6;

/**
 * The largest first, so that all connections end at about the same time.
 * @param sizes of the tables, by their oids; those without one, and those that have no pages of rows, stay whole
 */
export function planParts(
  tables: readonly CatalogueTable[],
  sizes: ReadonlyMap<number, HeapSize>,
  { jobs, bytesMin = BYTES_MIN, bytesMax = BYTES_MAX }: PartSizes,
): SplitPart[] {
  const total = tables.reduce((sum, { oid }) => sum + (sizes.get(oid)?.bytes ?? 0), 0);
  const partBytes = Math.min(bytesMax, Math.max(bytesMin, total / (jobs * PARTS_A_JOB)));
  return tables.flatMap((table) => cutTable(table, sizes.get(table.oid), partBytes)).sort(largerFirst);
}

function largerFirst(one: SplitPart, other: SplitPart): number {
  return other.bytes - one.bytes;
}

function cutTable(table: CatalogueTable, size: HeapSize | undefined, partBytes: number): SplitPart[] {
  const { bytes = 0, pages = 0, heap = false } = size ?? {};
  if (!heap || bytes <= partBytes) return [{ table, bytes }];
  // What is stored apart is read with the rows: few pages may stand for much.
  const ranges = cutPages(pages, Math.ceil(pages / Math.ceil(bytes / partBytes)));
  if (ranges.length === 1) return [{ table, bytes }];
  return ranges.map((range) => ({ table, pages: range, bytes: bytes / ranges.length }));
}

/** The rows of a part, without those of tables that inherit from its table. */
export function partQuery({ table, pages }: SplitPart): string {
  if (pages === undefined) return copyOut(table);
  const columns = table.columns.map(quoteName).join(', ');
  const where = pageConditions(pages).join(' AND ');
  return `COPY (SELECT ${columns} FROM ONLY ${quotedTable(table)} WHERE ${where}) TO STDOUT`;
}
