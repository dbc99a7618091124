/**
 * Writes a Parquet file in a thread that does nothing else: rows are encoded, compressed and handed out in the call that
 * adds them, while they are in the processor's cache, and in memory that is used again. A row group takes many batches,
 * of which only the compressed pages are kept.
 */

import type { ColumnBatch } from './column-batch.ts';
import { fewDistinct } from './few-distinct.ts';
import { type GroupMemory, release } from './group-memory.ts';
import { CODECS, compressionPays, type PageCodec } from './page-codec.ts';
import { ChunkEncoder, type FramedPage, framed, type PlainPage } from './parquet-chunk.ts';
import type { ParquetOptions } from './parquet-file.ts';
import { ParquetLayout } from './parquet-layout.ts';

interface OpenChunk {
  readonly encoder: ChunkEncoder;
  readonly pages: FramedPage[];
  /** None where it does not pay, as the first page shows. */
  codec: PageCodec;
}

export class ThreadedParquetFile {
  readonly #codec: PageCodec;
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #memory: GroupMemory;
  readonly #onPieces: (pieces: readonly Uint8Array[]) => void;
  #layout: ParquetLayout | undefined;
  #dictionaries: readonly boolean[] = [];
  /** Of the row group that is open. */
  #chunks: readonly OpenChunk[] = [];
  #groupRows = 0;

  /** @param onPieces takes the file as it grows; the pieces are good during the call only */
  constructor(
    options: ParquetOptions,
    memory: GroupMemory,
    onPieces: (pieces: readonly Uint8Array[]) => void,
  ) {
    this.#codec = CODECS[options.compression];
    this.#metadata = options.metadata ?? {};
    this.#memory = memory;
    this.#onPieces = onPieces;
  }

  /** Of all row groups that are ended. */
  get rows(): number {
    return this.#layout?.rows ?? 0;
  }

  get bytes(): number {
    return this.#layout?.bytes ?? 0;
  }

  /** Of the row group that is open. */
  get groupRows(): number {
    return this.#groupRows;
  }

  /** Takes the rows out of the batch and into the row group that is open. */
  add(batch: ColumnBatch): void {
    const { rows, columns, builders } = batch;
    if (rows === 0) return;
    if (this.#layout === undefined) {
      this.#layout = new ParquetLayout(columns);
      this.#dictionaries = builders.map(fewDistinct);
      this.#onPieces(this.#layout.begin());
    }
    if (this.#groupRows === 0) {
      this.#chunks = columns.map((column, i) => ({
        encoder: new ChunkEncoder(column, this.#dictionaries[i]!),
        pages: [],
        codec: this.#codec,
      }));
    }
    for (const [i, chunk] of this.#chunks.entries()) {
      for (const page of chunk.encoder.pages(builders[i]!, this.#memory.page))
        chunk.pages.push(this.#compress(page, chunk));
    }
    this.#groupRows += rows;
    batch.clear();
  }

  endGroup(): void {
    if (this.#groupRows === 0) return;
    for (const chunk of this.#chunks) {
      const dictionary = chunk.encoder.dictionaryPage();
      if (dictionary !== undefined) chunk.pages.unshift(this.#compress(dictionary, chunk));
    }
    const chunks = this.#chunks.map((chunk) => ({ ...chunk, codec: chunk.codec.number }));
    this.#onPieces(this.#layout!.group(chunks, this.#groupRows));
    this.#groupRows = 0;
    this.#memory.reset();
  }

  /** Ends the row group and writes the footer; nothing where no row was added. */
  end(): void {
    this.endGroup();
    if (this.#layout !== undefined) this.#onPieces(this.#layout.end(this.#metadata));
  }

  #compress(page: PlainPage, chunk: OpenChunk): FramedPage {
    let content = chunk.codec.here(page.bytes);
    if (chunk.pages.length === 0 && !compressionPays(page.bytes.byteLength, content.byteLength)) {
      if (content !== page.bytes) release(content);
      content = page.bytes;
      chunk.codec = CODECS.none;
    }
    const kept = this.#memory.keep(content);
    if (content !== page.bytes) release(content);
    return framed(page, kept);
  }
}
