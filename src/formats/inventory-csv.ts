/** Reads the CSV files of an S3 Inventory, and plain lists of keys in CSV, gzipped or not. */

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { LongshoreError } from '../errors.ts';
import { type CsvRecord, readCsv } from './csv.ts';

/** An object that an inventory lists: perhaps still there, perhaps not. */
export interface InventoryEntry {
  readonly key: string;
  /** As listed; undefined where the inventory does not tell. */
  readonly sizeBytes: number | undefined;
}

export type InventoryCsvLayout =
  /** A file of an inventory of `bucket`: columns as the manifest names them, keys percent-encoded. */
  | { readonly kind: 'inventory'; readonly columns: readonly string[]; readonly bucket: string }
  /**
   * A list of keys of `bucket`. With a first line that names a column `key`, columns are found by their names and
   * keys are taken as they stand, as are those of a single column. Otherwise the columns are bucket and key,
   * percent-encoded, as S3 Inventory and the manifests of S3 Batch Operations have them.
   */
  | { readonly kind: 'list'; readonly bucket: string };

/**
 * Current objects that the file lists, in the order of the file; old versions and delete markers are left out.
 * @throws CHECK_FAILED for what is not CSV, or lists another bucket
 */
export async function* readInventoryCsv(
  path: string,
  layout: InventoryCsvLayout,
  signal?: AbortSignal,
): AsyncGenerator<InventoryEntry[]> {
  const file = createReadStream(path, { highWaterMark: 256 * 1024 });
  const source = (await isGzip(path)) ? file.pipe(createGunzip()) : file;
  file.on('error', (error) => source.destroy(error));
  let columns = layout.kind === 'inventory' ? columnsOf(layout.columns, true) : undefined;
  try {
    for await (const records of readCsv(source as AsyncIterable<Uint8Array>)) {
      signal?.throwIfAborted();
      let from = 0;
      if (columns === undefined) {
        const header = records[0]!.map((name) => name.trim().toLowerCase());
        if (header.includes('key')) from = 1;
        columns = from === 1 ? columnsOf(records[0]!, false) : unnamedColumns(records[0]!);
      }
      yield records.slice(from).flatMap((record) => entriesOf(record, columns!, layout.bucket));
    }
  } catch (error) {
    if (error instanceof LongshoreError || signal?.aborted) throw error;
    throw new LongshoreError('CHECK_FAILED', 'a file of the inventory is broken: it cannot be decompressed', {
      cause: error,
      hint: 'compare it with the one that S3 Inventory wrote',
    });
  } finally {
    file.destroy();
    source.destroy();
  }
}

interface Columns {
  readonly bucket: number;
  readonly key: number;
  readonly isLatest: number;
  readonly isDeleteMarker: number;
  readonly size: number;
  readonly encoded: boolean;
}

/** Where the columns stand; -1 for those that are not there. Names are those of both file formats. */
function columnsOf(names: readonly string[], encoded: boolean): Columns {
  const plain = names.map((name) => name.trim().toLowerCase().replaceAll('_', ''));
  return {
    bucket: plain.indexOf('bucket'),
    key: plain.indexOf('key'),
    isLatest: plain.indexOf('islatest'),
    isDeleteMarker: plain.indexOf('isdeletemarker'),
    size: plain.indexOf('size'),
    encoded,
  };
}

function unnamedColumns(first: CsvRecord): Columns {
  return first.length === 1 ? columnsOf(['key'], false) : columnsOf(['bucket', 'key'], true);
}

function entriesOf(record: CsvRecord, columns: Columns, bucket: string): InventoryEntry[] {
  if (columns.bucket >= 0 && record[columns.bucket] !== bucket) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `the list names bucket "${record[columns.bucket]}", and the move is from ${bucket}`,
      { hint: 'give a list of keys of the bucket that is moved from' },
    );
  }
  if (columns.isLatest >= 0 && record[columns.isLatest]?.toLowerCase() === 'false') return [];
  if (columns.isDeleteMarker >= 0 && record[columns.isDeleteMarker]?.toLowerCase() === 'true') return [];
  const text = record[columns.key];
  if (text === undefined || text === '') return [];
  const size = Number(record[columns.size] || Number.NaN);
  const sizeBytes = Number.isFinite(size) ? size : undefined;
  return (columns.encoded ? decodedKeys(text) : [text]).map((key) => ({ key, sizeBytes }));
}

/**
 * What a percent-encoded key stands for. S3 writes a space as `+` or `%20`, depending on who encoded it; a plus sign
 * as it stands is taken both ways, since a candidate that does not exist costs nothing.
 */
export function decodedKeys(text: string): string[] {
  const spaced = decoded(text.replaceAll('+', ' '));
  return text.includes('+') ? [spaced, decoded(text)] : [spaced];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not encoded at all: a key that holds a percent sign.
    return text;
  }
}

async function isGzip(path: string): Promise<boolean> {
  await using file = await open(path);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
}
