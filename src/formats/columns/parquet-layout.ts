/** How a Parquet file is laid out: what stands where, and the footer. Reference: parquet.thrift and README.md. */

import type { Column } from './column-type.ts';
import { bytesOf, type ChunkEncoder, type FramedPage, plainBytesOf } from './parquet-chunk.ts';
import { schemaElements } from './parquet-schema.ts';
import { ThriftStruct } from './thrift-compact.ts';

const MAGIC = Buffer.from('PAR1');
const VERSION = 2;

/** A column of a row group. */
export interface EncodedChunk {
  readonly encoder: ChunkEncoder;
  /** All of them, the dictionary first. */
  readonly pages: readonly FramedPage[];
  /** Of the pages; its number in the format. */
  readonly codec: number;
}

/** Gives the pieces of a file one after another. Knows of no values, and does nothing with the pieces. */
export class ParquetLayout {
  readonly columns: readonly Column[];
  readonly #groups: ThriftStruct[] = [];
  #rows = 0;
  #bytes = 0;

  constructor(columns: readonly Column[]) {
    this.columns = columns;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Of the pieces so far. */
  get bytes(): number {
    return this.#bytes;
  }

  begin(): Uint8Array[] {
    return this.#given([MAGIC]);
  }

  /** A row group: a chunk for each column, in their order. */
  group(chunks: readonly EncodedChunk[], rows: number): Uint8Array[] {
    let at = this.#bytes;
    const entries = chunks.map(({ encoder, pages, codec }) => {
      const entry = encoder.entry(pages, codec, at);
      at += bytesOf(pages);
      return entry;
    });
    const plainBytes = chunks.reduce((sum, { pages }) => sum + plainBytesOf(pages), 0);
    this.#groups.push(new ThriftStruct().structs(1, entries).i64(2, plainBytes).i64(3, rows));
    this.#rows += rows;
    return this.#given(
      chunks.flatMap(({ pages }) => pages.flatMap(({ header, content }) => [header, content])),
    );
  }

  /** The last pieces. @param metadata kept in the footer */
  end(metadata: Readonly<Record<string, string>>): Uint8Array[] {
    const footer = new ThriftStruct()
      .i32(1, VERSION)
      .structs(2, schemaElements(this.columns))
      .i64(3, this.#rows)
      .structs(4, this.#groups);
    const pairs = Object.entries(metadata);
    if (pairs.length > 0) {
      footer.structs(
        5,
        pairs.map(([key, value]) => new ThriftStruct().binary(1, key).binary(2, value)),
      );
    }
    // Bounds are in the order of the type.
    const order = new ThriftStruct().struct(1, new ThriftStruct());
    footer.binary(6, 'longshore').structs(
      7,
      this.columns.map(() => order),
    );
    const bytes = footer.bytes();
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(bytes.byteLength);
    return this.#given([bytes, length, MAGIC]);
  }

  #given(pieces: Uint8Array[]): Uint8Array[] {
    for (const { byteLength } of pieces) this.#bytes += byteLength;
    return pieces;
  }
}
