/** A column of a row group: its pages, and what the footer says of it. */

import { BytesBuilder, type ColumnBuilder } from './column-builder.ts';
import type { Column } from './column-type.ts';
import { newBounds } from './parquet-bounds.ts';
import { Dictionary } from './parquet-dictionary.ts';
import { dataPage, type PageMemory, pageRanges } from './parquet-pages.ts';
import { parquetType } from './parquet-schema.ts';
import { ThriftStruct } from './thrift-compact.ts';

const ENCODING = { plain: 0, rle: 3, dictionary: 8 } as const;
const PAGE = { data: 0, dictionary: 2 } as const;

/** Not compressed yet. */
export interface PlainPage {
  readonly kind: number;
  readonly header: ThriftStruct;
  readonly bytes: Uint8Array;
}

/** A page as it stands in the file. */
export interface FramedPage {
  readonly header: Uint8Array;
  readonly content: Uint8Array;
  /** Before compression, with the header. */
  readonly plainBytes: number;
}

export class ChunkEncoder {
  readonly #column: Column;
  readonly #bounds;
  readonly #dictionary: Dictionary | undefined;
  #usesDictionary = false;
  #rows = 0;
  #nulls = 0;

  constructor(column: Column, wantsDictionary: boolean) {
    this.#column = column;
    this.#bounds = newBounds(column.type);
    this.#dictionary = wantsDictionary ? new Dictionary() : undefined;
  }

  /**
   * Pages of the next rows, each put together when it is asked for.
   * @param memory may give the same memory each time where a page is compressed before the next one is asked for
   */
  *pages(builder: ColumnBuilder, memory: PageMemory): Generator<PlainPage> {
    this.#rows += builder.length;
    this.#nulls += builder.nullCount;
    this.#bounds?.add(builder);
    const indexes = builder instanceof BytesBuilder ? this.#dictionary?.indexesOf(builder) : undefined;
    if (indexes !== undefined) this.#usesDictionary = true;
    const encoding = indexes === undefined ? ENCODING.plain : ENCODING.dictionary;
    for (const { from, to } of pageRanges(builder)) {
      const header = new ThriftStruct()
        .i32(1, to - from)
        .i32(2, encoding)
        .i32(3, ENCODING.rle)
        .i32(4, ENCODING.rle);
      yield { kind: PAGE.data, header, bytes: dataPage(builder, from, to, indexes, memory) };
    }
  }

  /** To stand before all pages; undefined where none needs it. */
  dictionaryPage(): PlainPage | undefined {
    if (!this.#usesDictionary) return undefined;
    const { size, bytes } = this.#dictionary!;
    return { kind: PAGE.dictionary, header: new ThriftStruct().i32(1, size).i32(2, ENCODING.plain), bytes };
  }

  /**
   * What the footer says of the column.
   * @param pages all of them, the dictionary first
   * @param codec its number in the format
   * @param at where the first page begins in the file
   */
  entry(pages: readonly FramedPage[], codec: number, at: number): ThriftStruct {
    const { name, type } = this.#column;
    const statistics = new ThriftStruct().i64(3, this.#nulls);
    const bounds = this.#bounds?.bounds;
    if (bounds !== undefined) statistics.binary(5, bounds.max).binary(6, bounds.min);
    const metadata = new ThriftStruct()
      .i32(1, parquetType(type).physical)
      .i32s(2, [ENCODING.plain, ENCODING.rle, ...(this.#usesDictionary ? [ENCODING.dictionary] : [])])
      .binaries(3, [name])
      .i32(4, codec)
      .i64(5, this.#rows)
      .i64(6, plainBytesOf(pages))
      .i64(7, bytesOf(pages))
      .i64(9, this.#usesDictionary ? at + bytesOf(pages.slice(0, 1)) : at);
    if (this.#usesDictionary) metadata.i64(11, at);
    return new ThriftStruct().i64(2, at).struct(3, metadata.struct(12, statistics));
  }
}

/** @param content the page's bytes, compressed */
export function framed({ kind, header, bytes }: PlainPage, content: Uint8Array): FramedPage {
  const page = new ThriftStruct().i32(1, kind).i32(2, bytes.byteLength).i32(3, content.byteLength);
  const headerBytes = page.struct(kind === PAGE.data ? 5 : 7, header).bytes();
  return { header: headerBytes, content, plainBytes: headerBytes.byteLength + bytes.byteLength };
}

export function bytesOf(pages: readonly FramedPage[]): number {
  return pages.reduce((sum, { header, content }) => sum + header.byteLength + content.byteLength, 0);
}

export function plainBytesOf(pages: readonly FramedPage[]): number {
  return pages.reduce((sum, { plainBytes }) => sum + plainBytes, 0);
}
