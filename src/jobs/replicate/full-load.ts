/**
 * The full load: every table under one snapshot, in chunks of pages, each a Parquet file.
 *
 * A chunk is loaded into a temporary file, uploaded under its final name, and recorded; the files count only when the
 * manifest of epoch 0 names them.
 */

import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mapField, selectText } from '../../databases/postgres/field-mapping.ts';
import { quoteName } from '../../databases/postgres/sql.ts';
import { quotedTable, type SourceLeaf, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import { withRetry } from '../../flow/retry.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import type { ReplicateListener } from './events.ts';
import { loadFileName, tableFolder, timestampText } from './layout.ts';
import { type ChunkTask, columnsOf } from './load-chunk.ts';
import { LoadThreads } from './load-threads.ts';
import type { ManifestFile } from './manifest.ts';
import { manifestColumns, schemaIdOf } from './schema-id.ts';
import type { ReplicateSettings } from './settings.ts';

const PAGE_BYTES = 8192;

/** A part of a table that becomes one file. */
export interface Chunk {
  readonly table: SourceTable;
  readonly leaf: SourceLeaf;
  /** Pages from this … */
  readonly low: number;
  /** … to before this; undefined for the last chunk, which takes what was added since. */
  readonly high: number | undefined;
  /** From 1, in its table. */
  readonly number: number;
}

export interface FullLoad {
  readonly files: readonly ManifestFile[];
  readonly schemas: Readonly<Record<string, ReturnType<typeof manifestColumns>>>;
}

export interface LoadTarget {
  readonly store: ObjectStore;
  readonly prefix: string;
  /** For temporary files. */
  readonly folder: string;
}

/** A chunk less is not worth another file. */
const CHUNK_BYTES_MIN = 16 * 1024 ** 2;
/** Chunks for each worker, so that none waits long for the last one. */
const CHUNKS_A_WORKER = 4;

interface LoadListeners {
  readonly emit: ReplicateListener;
  /** Of the start of the load, for the timestamp column. */
  readonly nowMs: number;
  readonly failpoint: Failpoint;
}

/** Cuts tables into chunks of at most about so many bytes of their heap, and enough of them for all workers. Pure. */
export function cutChunks(tables: readonly SourceTable[], bytesMax: number, workers: number): Chunk[] {
  return tables.flatMap((table) => {
    const bytes = table.leaves.reduce((sum, leaf) => sum + leaf.bytes, 0);
    const fair = Math.max(CHUNK_BYTES_MIN, bytes / (workers * CHUNKS_A_WORKER));
    const pagesMax = Math.max(1, Math.ceil(Math.min(bytesMax, fair) / PAGE_BYTES));
    const chunks: Omit<Chunk, 'number'>[] = [];
    for (const leaf of table.leaves) {
      const pages = Math.ceil(leaf.bytes / PAGE_BYTES);
      const count = Math.max(1, Math.ceil(pages / pagesMax));
      const step = Math.max(1, Math.ceil(pages / count));
      for (let i = 0; i < count; i++) {
        chunks.push({ table, leaf, low: i * step, high: i === count - 1 ? undefined : (i + 1) * step });
      }
    }
    return chunks.map((chunk, i) => ({ ...chunk, number: i + 1 }));
  });
}

/** The rows of a chunk. A range of TIDs is a scan of these pages alone from PostgreSQL 14 on. */
export function chunkQuery(chunk: Chunk): string {
  const { table, leaf, low, high } = chunk;
  const columns = table.columns.map((column) => selectText(mapField(column)));
  const from = `ONLY ${quotedTable(leaf)}`;
  const conditions = [
    ...(low === 0 ? [] : [`ctid >= '(${low},0)'::tid`]),
    ...(high === undefined ? [] : [`ctid < '(${high},0)'::tid`]),
  ];
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  return `SELECT ${columns.join(', ') || quoteName('ctid')} FROM ${from}${where}`;
}

/** Loads every chunk and uploads its file. @returns what the manifest says of it */
export async function fullLoad(
  settings: ReplicateSettings,
  tables: readonly SourceTable[],
  snapshot: string,
  target: LoadTarget,
  { emit, nowMs, failpoint }: LoadListeners,
  signal: AbortSignal,
): Promise<FullLoad> {
  await using threads = new LoadThreads({ from: settings.from, snapshot });
  const files: ManifestFile[] = [];
  const schemas: Record<string, ReturnType<typeof manifestColumns>> = {};
  const chunks = cutChunks(tables, settings.maxFileSize, settings.workers);
  emit({ type: 'load-started', tables: tables.length, chunks: chunks.length });
  await forEachConcurrent(chunks, settings.workers, async (chunk) => {
    signal.throwIfAborted();
    const task = taskOf(chunk, settings, target.folder, nowMs);
    try {
      const loaded = await threads.load(task);
      if (loaded.rows > 0) {
        const key = tableFolder(chunk.table) + loadFileName(chunk.number);
        await upload(target, key, task.path, loaded.bytes, signal);
        failpoint('chunk-uploaded');
        const described = manifestColumns(chunk.table, columnsOf(task));
        const schemaId = schemaIdOf(described);
        schemas[schemaId] = described;
        files.push({
          key,
          schema: chunk.table.schema,
          table: chunk.table.name,
          schemaId,
          rows: loaded.rows,
          bytes: loaded.bytes,
          sha256: loaded.sha256,
        });
      }
      emit({
        type: 'chunk-loaded',
        schema: chunk.table.schema,
        table: chunk.table.name,
        rows: loaded.rows,
        bytes: loaded.bytes,
      });
    } finally {
      await rm(task.path, { force: true });
    }
  });
  files.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { files, schemas };
}

function taskOf(chunk: Chunk, settings: ReplicateSettings, folder: string, nowMs: number): ChunkTask {
  const { table, number } = chunk;
  const time = timestampText(BigInt(nowMs) * 1000n);
  return {
    query: chunkQuery(chunk),
    fields: table.columns.map(mapField),
    before: settings.opInFullLoad ? [{ name: 'Op', text: 'I' }] : [],
    after: settings.timestampColumn === undefined ? [] : [{ name: settings.timestampColumn, text: time }],
    path: join(folder, `load-${table.oid}-${number}.parquet`),
    compression: settings.compression,
    metadata: { 'longshore.table': `${table.schema}.${table.name}`, 'longshore.kind': 'full-load' },
  };
}

/** Puts a file under its name; what an attempt before left there is overwritten. */
export async function upload(
  { store, prefix }: Pick<LoadTarget, 'store' | 'prefix'>,
  key: string,
  path: string,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<void> {
  await withRetry(
    () =>
      store.put(
        {
          key: prefix + key,
          body: createReadStream(path),
          sizeBytes,
          attributes: { contentType: 'application/vnd.apache.parquet', metadata: {} },
          ifAbsent: false,
        },
        signal,
      ),
    undefined,
    { signal },
  );
}
