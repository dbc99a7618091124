/** Reads the Parquet files of an S3 Inventory, row group after row group. */

import { LongshoreError, messageOf } from '../errors.ts';
import type { InventoryEntry } from './inventory-csv.ts';

/**
 * Current objects that the file lists, in the order of the file; old versions and delete markers are left out. Keys
 * are plain UTF-8. Holds the needed columns of one window of rows at a time, however large row groups are.
 *
 * @param bucket whose objects are wanted
 * @throws CHECK_FAILED for what is not Parquet, has no column `key`, or lists another bucket
 */
export async function* readInventoryParquet(
  path: string,
  bucket: string,
  signal?: AbortSignal,
): AsyncGenerator<InventoryEntry[]> {
  // Loaded here: only a move by an inventory in Parquet needs it.
  const [hyparquet, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  try {
    const file = await hyparquet.asyncBufferFromFile(path);
    const metadata = await hyparquet.parquetMetadataAsync(file);
    const names = hyparquet.parquetSchema(metadata).children.map(({ element }) => element.name);
    const columns = names.filter((name) => WANTED.includes(name.toLowerCase()));
    if (!columns.some((name) => name.toLowerCase() === 'key'))
      throw new Error(`it has no column key, only ${names.join(', ')}`);
    const scan = await hyparquet.parquetScan({ file, metadata, columns, compressors });
    for (const group of scan.ranges) {
      // Without an index of pages each window passes over those before it: not too many windows.
      const rows = Math.max(ROWS_AT_ONCE, Math.ceil((group.rowEnd - group.rowStart) / WINDOWS_MAX));
      for (let rowStart = group.rowStart; rowStart < group.rowEnd; rowStart += rows) {
        signal?.throwIfAborted();
        const rowEnd = Math.min(rowStart + rows, group.rowEnd);
        const window: Columns = {};
        for (const column of columns) {
          window[column.toLowerCase()] = await scan.readColumn({ column, rowStart, rowEnd });
        }
        yield entriesOf(window, rowEnd - rowStart, bucket);
      }
    }
  } catch (error) {
    if (error instanceof LongshoreError || signal?.aborted) throw error;
    throw new LongshoreError(
      'CHECK_FAILED',
      `a file of the inventory cannot be read as Parquet: ${messageOf(error)}`,
      { cause: error, hint: 'compare it with the one that S3 Inventory wrote' },
    );
  }
}

const ROWS_AT_ONCE = 20_000;
const WINDOWS_MAX = 64;
const WANTED: readonly string[] = ['bucket', 'key', 'is_latest', 'is_delete_marker', 'size'];

/** The columns of a window of rows, by their names in lower case. */
type Columns = Record<string, ArrayLike<unknown>>;

function entriesOf(columns: Columns, rows: number, wantedBucket: string): InventoryEntry[] {
  const { bucket, key: keys, is_latest: isLatest, is_delete_marker: isDeleteMarker, size: sizes } = columns;
  const entries: InventoryEntry[] = [];
  for (let i = 0; i < rows; i++) {
    if (isLatest?.[i] === false || isDeleteMarker?.[i] === true) continue;
    if (typeof bucket?.[i] === 'string' && bucket[i] !== wantedBucket) {
      throw new LongshoreError(
        'CHECK_FAILED',
        `the list names bucket "${bucket[i]}", and the move is from ${wantedBucket}`,
        { hint: 'give a list of keys of the bucket that is moved from' },
      );
    }
    const key = keys?.[i];
    if (typeof key !== 'string' || key === '') continue;
    const size = sizes?.[i];
    entries.push({ key, sizeBytes: size === undefined || size === null ? undefined : Number(size) });
  }
  return entries;
}
