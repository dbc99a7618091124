/** Reads an inventory, or a list of keys, from where it lies into the spool of the run. */

import { createHash } from 'node:crypto';
import { createWriteStream, rmSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { formatStoreUrl, parseStoreUrl } from '../../config/store-url.ts';
import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import { type RetryPolicy, withRetry } from '../../flow/retry.ts';
import {
  type InventoryCsvLayout,
  type InventoryEntry,
  readInventoryCsv,
} from '../../formats/inventory-csv.ts';
import { type InventoryFile, parseInventoryManifest } from '../../formats/inventory-manifest.ts';
import { readInventoryParquet } from '../../formats/inventory-parquet.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { InventorySpool } from './inventory-spool.ts';

export interface InventoryRequest {
  /** The store that the URL names. */
  readonly store: ObjectStore;
  /** Of a `manifest.json`, or of a `.csv`, `.csv.gz` or `.parquet` list of keys. */
  readonly url: string;
  /** The bucket that is moved from. */
  readonly sourceBucket: string;
  /** Where the spool and files on their way go. */
  readonly folder: string;
  readonly selects: (key: string) => boolean;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
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
      await withRetry(() => readFile(request, file, spool, signal), request.retry, {
        clock: request.clock,
        signal,
      });
      spool.record(file.key);
    }
    return spool;
  } catch (error) {
    spool[Symbol.dispose]();
    throw error;
  }
}

interface ListedFile extends Omit<InventoryFile, 'md5'> {
  /** ETag of a list that no manifest vouches for. */
  readonly etag: string;
  readonly md5: string | undefined;
  readonly layout: InventoryCsvLayout | 'parquet' | 'parquet-list';
}

async function inventoryFiles(request: InventoryRequest, signal: AbortSignal): Promise<ListedFile[]> {
  const { store, url, sourceBucket } = request;
  const key = parseStoreUrl(url).prefix;
  const kind = kindOf(key, url);
  const head = await store.head(key, signal);
  if (head === undefined) {
    // A HEAD says the same of a missing bucket; a listing tells it apart.
    await store.list({ prefix: key, limit: 1 }, signal);
    throw notFound(url);
  }
  if (kind !== 'manifest') {
    const layout = kind === 'parquet' ? 'parquet-list' : ({ kind: 'list', bucket: sourceBucket } as const);
    return [{ key, sizeBytes: head.sizeBytes, etag: head.etag, md5: undefined, layout }];
  }
  const manifest = parseInventoryManifest(await textOf(store, key, url, signal), url);
  if (store.kind === 's3' && manifest.sourceBucket !== sourceBucket) {
    throw new LongshoreError(
      'CHECK_FAILED',
      `${url} is an inventory of bucket ${manifest.sourceBucket}, and the move is from ${sourceBucket}`,
      { hint: 'give the manifest of an inventory of the bucket that is moved from' },
    );
  }
  const layout =
    manifest.format === 'Parquet' ? 'parquet' : ({ kind: 'inventory', columns: manifest.columns } as const);
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
    await fetchFile(request, file, path, signal);
    let skipped = 0;
    let chosen: InventoryEntry[] = [];
    for await (const entries of entriesOf(request, file, path, signal)) {
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
  request: InventoryRequest,
  { layout }: ListedFile,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<InventoryEntry[]> {
  if (layout === 'parquet') return readInventoryParquet(path, undefined, signal);
  if (layout === 'parquet-list') return readInventoryParquet(path, request.sourceBucket, signal);
  return readInventoryCsv(path, layout, signal);
}

async function fetchFile(
  { store, url }: InventoryRequest,
  file: ListedFile,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const opened = await openFile(store, file.key, url, signal);
  const md5 = createHash('md5');
  try {
    await pipeline(
      opened,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          md5.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(path),
      { signal },
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof LongshoreError) throw error;
    throw new LongshoreError('STORE_UNAVAILABLE', `the connection broke while ${file.key} was read`, {
      cause: error,
    });
  }
  if (file.md5 === undefined || md5.digest('hex') === file.md5) return;
  throw new LongshoreError('CHECK_FAILED', `${file.key} does not have the MD5 that ${url} says`, {
    hint: 'take a newer inventory, or leave it, and the bucket is listed',
  });
}

/** A file of the inventory; of one that was copied into a folder, also beside its manifest. */
async function openFile(
  store: ObjectStore,
  key: string,
  url: string,
  signal: AbortSignal,
): Promise<Readable> {
  const beside = join(dirname(parseStoreUrl(url).prefix), basename(key));
  for (const candidate of store.kind === 'files' ? [key, beside] : [key]) {
    const opened = await store.get({ key: candidate }, signal);
    if (opened !== undefined) return opened.body;
  }
  throw new LongshoreError('CHECK_FAILED', `${url} names the file ${key}, which does not exist`, {
    hint: 'a lifecycle rule may have removed it: take a newer inventory',
  });
}

async function textOf(store: ObjectStore, key: string, url: string, signal: AbortSignal): Promise<string> {
  const opened = await store.get({ key }, signal);
  if (opened === undefined) throw notFound(url);
  const chunks: Buffer[] = [];
  for await (const chunk of opened.body as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function notFound(url: string): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', `${formatStoreUrl(parseStoreUrl(url))} does not exist`, {
    hint: 'give the URL of the manifest.json that S3 Inventory wrote; the first one takes up to 48 hours',
  });
}
