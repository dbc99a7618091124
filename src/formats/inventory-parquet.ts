/** Reads the Parquet files of an S3 Inventory, row group after row group. */

import { LongshoreError, messageOf } from '../errors.ts';
import type { InventoryEntry } from './inventory-csv.ts';

/**
 * Current objects that the file lists, in the order of the file; old versions and delete markers are left out. Keys
 * are plain UTF-8. Holds the needed columns of one row group at a time.
 *
 * @param bucket whose objects are wanted; undefined where the manifest said so already
 * @throws CHECK_FAILED for what is not Parquet, has no column `key`, or lists another bucket
 */
export async function* readInventoryParquet(
  path: string,
  bucket: string | undefined,
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
    const wanted = bucket === undefined ? WANTED : [...WANTED, 'bucket'];
    const columns = names.filter((name) => wanted.includes(name.toLowerCase()));
    if (!columns.some((name) => name.toLowerCase() === 'key'))
      throw new Error(`it has no column key, only ${names.join(', ')}`);
    const scan = await hyparquet.parquetScan({ file, metadata, columns, compressors });
    for (const { rowStart, rowEnd } of scan.ranges) {
      signal?.throwIfAborted();
      const group: Columns = {};
      for (const column of columns) {
        group[column.toLowerCase()] = await scan.readColumn({ column, rowStart, rowEnd });
      }
      for (let from = 0; from < rowEnd - rowStart; from += ROWS_AT_ONCE) {
        yield entriesOf(group, from, Math.min(from + ROWS_AT_ONCE, rowEnd - rowStart), bucket);
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

const ROWS_AT_ONCE = 10_000;
const WANTED: readonly string[] = ['key', 'is_latest', 'is_delete_marker', 'size'];

/** The columns of a row group, by their names in lower case. */
type Columns = Record<string, ArrayLike<unknown>>;

function entriesOf(
  columns: Columns,
  from: number,
  to: number,
  wantedBucket: string | undefined,
): InventoryEntry[] {
  const { bucket, key: keys, is_latest: isLatest, is_delete_marker: isDeleteMarker, size: sizes } = columns;
  const entries: InventoryEntry[] = [];
  for (let i = from; i < to; i++) {
    if (isLatest?.[i] === false || isDeleteMarker?.[i] === true) continue;
    if (wantedBucket !== undefined && typeof bucket?.[i] === 'string' && bucket[i] !== wantedBucket) {
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
