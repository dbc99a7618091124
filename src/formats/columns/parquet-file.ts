/**
 * Writes a Parquet file from batches of rows, a row group a batch. A row group comes out when its batch is encoded, so
 * that the file is never whole in memory; pages are compressed on the thread pool, while the caller goes on.
 */

import type { ColumnBatch } from './column-batch.ts';
import { fewDistinct } from './few-distinct.ts';
import { CODECS, compressionPays, type PageCodec, type ParquetCompression } from './page-codec.ts';
import { ChunkEncoder, type FramedPage, framed, type PlainPage } from './parquet-chunk.ts';
import { ParquetLayout } from './parquet-layout.ts';

export type { ParquetCompression } from './page-codec.ts';

export interface ParquetOptions {
  readonly compression: ParquetCompression;
  /** Kept in the footer. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** In order, each behind the one before. */
export type OnPieces = (pieces: readonly Uint8Array[]) => Promise<void> | void;

export class ParquetFile {
  readonly #codec: PageCodec;
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #onPieces: OnPieces;
  #layout: ParquetLayout | undefined;
  /** Columns that had few values in the first batch. */
  #dictionaries: readonly boolean[] = [];

  /** @param onPieces takes the file as it grows; the next pieces wait for it */
  constructor(options: ParquetOptions, onPieces: OnPieces) {
    this.#codec = CODECS[options.compression];
    this.#metadata = options.metadata ?? {};
    this.#onPieces = onPieces;
  }

  get rows(): number {
    return this.#layout?.rows ?? 0;
  }

  /** Of what has come out so far. */
  get bytes(): number {
    return this.#layout?.bytes ?? 0;
  }

  /**
   * Writes the rows as one row group. They are taken out of the builder at once, so that it may be filled again while
   * they are compressed and written. Await it before the next call.
   */
  async write(batch: ColumnBatch): Promise<void> {
    const { rows, columns, builders } = batch;
    const isFirst = this.#layout === undefined;
    this.#layout ??= new ParquetLayout(columns);
    const layout = this.#layout;
    if (isFirst) this.#dictionaries = builders.map(fewDistinct);
    const encoders = columns.map((column, i) => new ChunkEncoder(column, this.#dictionaries[i]!));
    const compressing = encoders.map((encoder, i) => {
      const pages = [...encoder.pages(builders[i]!, freshMemory)];
      const dictionary = encoder.dictionaryPage();
      if (dictionary !== undefined) pages.unshift(dictionary);
      return this.#compress(pages);
    });
    batch.clear();
    if (isFirst) await this.#onPieces(layout.begin());
    const pages = await Promise.all(compressing);
    if (rows === 0) return;
    const chunks = encoders.map((encoder, i) => ({ encoder, ...pages[i]! }));
    await this.#onPieces(layout.group(chunks, rows));
  }

  /** Writes the footer. A file without rows is written with an empty batch first. */
  async end(): Promise<void> {
    if (this.#layout !== undefined) await this.#onPieces(this.#layout.end(this.#metadata));
  }

  /** Of one column. */
  async #compress(pages: readonly PlainPage[]): Promise<{ pages: FramedPage[]; codec: number }> {
    const compressed = await Promise.all(pages.map(({ bytes }) => this.#codec.onPool(bytes)));
    const pays = compressionPays(bytesOf(pages.map(({ bytes }) => bytes)), bytesOf(compressed));
    return {
      pages: pages.map((page, i) => framed(page, pays ? compressed[i]! : page.bytes)),
      codec: pays ? this.#codec.number : CODECS.none.number,
    };
  }
}

function bytesOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function freshMemory(bytes: number): Uint8Array {
  return Buffer.allocUnsafeSlow(bytes);
}
