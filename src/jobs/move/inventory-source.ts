/** Reads an inventory, or a list of keys, from where it lies into the spool of the run. */

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { parseStoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import type { RetryPolicy } from '../../flow/retry.ts';
import {
  type InventoryCsvLayout,
  type InventoryEntry,
  readInventoryCsv,
} from '../../formats/inventory-csv.ts';
import { type InventoryFile, parseInventoryManifest } from '../../formats/inventory-manifest.ts';
import { readInventoryParquet } from '../../formats/inventory-parquet.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { fetchFile, fetchText, notFound, withReads } from './inventory-fetch.ts';
import { InventorySpool } from './inventory-spool.ts';

/** Which inventory, and how it is read. */
export interface InventoryLocation {
  /** The store that the URL names. */
  readonly store: ObjectStore;
  /** Of a `manifest.json`, or of a `.csv`, `.csv.gz` or `.parquet` list of keys. */
  readonly url: string;
  /** The bucket, or the folder, that is moved from. */
  readonly sourceBucket: string;
  readonly sourceKind: ObjectStore['kind'];
  readonly retry: RetryPolicy;
  readonly clock: Clock;
}

export interface InventoryRequest extends InventoryLocation {
  /** Where the spool and files on their way go. */
  readonly folder: string;
  readonly selects: (key: string) => boolean;
  /** Told how many listed objects were left out by `selects`. */
  readonly onSkipped?: ((count: number) => void) | undefined;
}

/**
 * Fills the spool with the keys that the inventory lists and `selects` takes. Files are fetched one after another,
 * their MD5 compared with the manifest's.
 * @throws CONFIG_INVALID, CHECK_FAILED: no such file, not an inventory, of another bucket, broken on the way
 */
export async function readInventory(request: InventoryRequest, signal: AbortSignal): Promise<InventorySpool> {
  const files = await inventoryFiles(request, signal);
  const identity = createHash('sha256')
    .update(JSON.stringify([request.url, files]))
    .digest('hex');
  const spool = InventorySpool.fill(request.folder, identity);
  try {
    for (const file of files) {
      if (spool.isRecorded(file.key)) continue;
      await withReads(() => readFile(request, file, spool, signal), request, signal);
      spool.record(file.key);
    }
    return spool;
  } catch (error) {
    spool[Symbol.dispose]();
    throw error;
  }
}

export interface ListedFile extends Omit<InventoryFile, 'md5'> {
  /** ETag of a list that no manifest vouches for. */
  readonly etag: string;
  readonly md5: string | undefined;
  readonly layout: InventoryCsvLayout | { readonly kind: 'parquet'; readonly bucket: string };
}

/**
 * The files that make up an inventory; none of them is opened.
 * @throws CONFIG_INVALID, CHECK_FAILED: no such manifest or list, not an inventory, of another bucket
 */
export async function inventoryFiles(
  location: InventoryLocation,
  signal: AbortSignal,
): Promise<ListedFile[]> {
  const { store, url, sourceBucket, sourceKind } = location;
  const key = parseStoreUrl(url).prefix;
  const kind = kindOf(key, url);
  const head = await store.head(key, signal);
  if (head === undefined) {
    // A HEAD says the same of a missing bucket; a listing tells it apart.
    await store.list({ prefix: key, limit: 1 }, signal);
    throw notFound(url);
  }
  if (kind !== 'manifest') {
    const layout = { kind: kind === 'parquet' ? 'parquet' : 'list', bucket: sourceBucket } as const;
    return [{ key, sizeBytes: head.sizeBytes, etag: head.etag, md5: undefined, layout }];
  }
  const text = await withReads(
    () => fetchText(store, { key, sizeBytes: head.sizeBytes }, url, signal),
    location,
    signal,
  );
  const manifest = parseInventoryManifest(text, url);
  // A folder that was filled from a bucket may be moved by the inventory of that bucket, kept beside it.
  const tells = store.kind === 's3' || sourceKind === 's3';
  if (tells && manifest.sourceBucket !== sourceBucket) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `${url} is an inventory of bucket ${manifest.sourceBucket}, and the move is from ${sourceBucket}`,
      { hint: 'give the manifest of an inventory of the bucket that is moved from' },
    );
  }
  const { columns, sourceBucket: bucket } = manifest;
  const layout: ListedFile['layout'] =
    manifest.format === 'Parquet' ? { kind: 'parquet', bucket } : { kind: 'inventory', columns, bucket };
  return manifest.files.map((file) => ({ ...file, etag: '', layout }));
}

/** What the name says. @throws CONFIG_INVALID */
function kindOf(key: string, url: string): 'manifest' | 'csv' | 'parquet' {
  if (/\.json$/i.test(key)) return 'manifest';
  if (/\.csv(\.gz)?$/i.test(key)) return 'csv';
  if (/\.parquet$/i.test(key)) return 'parquet';
  throw new LongshoreError('CONFIG_INVALID', `${url} is neither a manifest.json nor a list of keys`, {
    hint: 'give the URL of a manifest.json of S3 Inventory, or of a .csv, .csv.gz or .parquet list of keys',
  });
}

const KEYS_AT_ONCE = 50_000;

async function readFile(
  request: InventoryRequest,
  file: ListedFile,
  spool: InventorySpool,
  signal: AbortSignal,
): Promise<void> {
  const path = join(request.folder, `inventory-part${extname(file.key)}`);
  try {
    await fetchFile(request.store, file, request.url, path, signal);
    let skipped = 0;
    let chosen: InventoryEntry[] = [];
    for await (const entries of entriesOf(file, path, signal)) {
      for (const entry of entries) {
        if (request.selects(entry.key)) chosen.push(entry);
        else skipped++;
      }
      if (chosen.length < KEYS_AT_ONCE) continue;
      spool.add(chosen);
      chosen = [];
    }
    spool.add(chosen);
    request.onSkipped?.(skipped);
  } finally {
    rmSync(path, { force: true });
  }
}

function entriesOf(
  { layout }: ListedFile,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<InventoryEntry[]> {
  return layout.kind === 'parquet'
    ? readInventoryParquet(path, layout.bucket, signal)
    : readInventoryCsv(path, layout, signal);
}
