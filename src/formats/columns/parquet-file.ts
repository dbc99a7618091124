/**
 * Writes a Parquet file from batches of rows, a row group a batch, encoded by parquet-wasm. What is encoded comes out
 * while the file grows, so that it is never whole in memory.
 */

import {
  Compression,
  EnabledStatistics,
  type RecordBatch,
  Table,
  transformParquetStream,
  WriterPropertiesBuilder,
} from 'parquet-wasm/node';
import type { BatchBuilder } from './batch-builder.ts';
import { fewDistinct } from './few-distinct.ts';

export type ParquetCompression = 'none' | 'snappy' | 'zstd' | 'gzip';

export interface ParquetOptions {
  readonly compression: ParquetCompression;
  /** Kept in the footer. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

const CODECS: Readonly<Record<ParquetCompression, Compression>> = {
  none: Compression.UNCOMPRESSED,
  snappy: Compression.SNAPPY,
  zstd: Compression.ZSTD,
  gzip: Compression.GZIP,
};

/** A row group is a batch: the encoder cuts none of its own by rows. */
const ROWS_MAX = 0x7fff_ffff;

export class ParquetFile {
  readonly #options: ParquetOptions;
  readonly #onBytes: (bytes: Uint8Array) => Promise<void> | void;
  #writer: WritableStreamDefaultWriter<RecordBatch> | undefined;
  #finished: Promise<void> | undefined;
  #rows = 0;
  #bytes = 0;

  /** @param onBytes takes the file piece by piece; the next piece waits for it */
  constructor(options: ParquetOptions, onBytes: (bytes: Uint8Array) => Promise<void> | void) {
    this.#options = options;
    this.#onBytes = onBytes;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Of what has come out so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes the rows out of the builder, as one row group. */
  async write(batch: BatchBuilder): Promise<void> {
    const writer = this.#open(batch);
    this.#rows += batch.rows;
    const table = Table.fromIPCStream(batch.takeIpc());
    for (const recordBatch of table.recordBatches()) {
      await Promise.race([writer.ready, this.#finished]);
      await Promise.race([writer.write(recordBatch), this.#finished]);
    }
    table.free();
  }

  /** Writes the footer. A file without rows is written with an empty batch first. */
  async end(): Promise<void> {
    if (this.#writer === undefined || this.#finished === undefined) return;
    await Promise.race([this.#writer.close(), this.#finished]);
    await this.#finished;
  }

  #open(first: BatchBuilder): WritableStreamDefaultWriter<RecordBatch> {
    if (this.#writer !== undefined) return this.#writer;
    const pipe = new TransformStream<RecordBatch, RecordBatch>(
      {},
      { highWaterMark: 1 },
      { highWaterMark: 0 },
    );
    let properties = new WriterPropertiesBuilder()
      .setCompression(CODECS[this.#options.compression])
      .setDictionaryEnabled(false)
      // Of a row group; those of single pages cost more than readers gain.
      .setStatisticsEnabled(EnabledStatistics.Chunk)
      .setMaxRowGroupSize(ROWS_MAX)
      // A group that holds anything is full when its batch ends.
      .setMaxRowGroupBytes(1)
      .setCreatedBy('longshore')
      .setKeyValueMetadata(new Map(Object.entries(this.#options.metadata ?? {})));
    for (const [i, { name }] of first.columns.entries()) {
      // The encoder takes a dot for a level of nesting.
      if (!name.includes('.') && fewDistinct(first.builders[i]!)) {
        properties = properties.setColumnDictionaryEnabled(name, true);
      }
    }
    const encoded = transformParquetStream(pipe.readable, properties.build());
    this.#finished = this.#pump(encoded);
    this.#finished.catch(() => undefined);
    this.#writer = pipe.writable.getWriter();
    return this.#writer;
  }

  async #pump(encoded: Promise<ReadableStream>): Promise<void> {
    for await (const bytes of (await encoded) as ReadableStream<Uint8Array>) {
      this.#bytes += bytes.byteLength;
      await this.#onBytes(bytes);
    }
  }
}
