/**
 * Writes a Parquet file from batches of rows, a row group a batch. A row group comes out when its batch is encoded, so
 * that the file is never whole in memory; pages are compressed on other threads. Reference: parquet.thrift and README.md
 * of Apache Parquet.
 */

import { promisify } from 'node:util';
import { constants, gzip, zstdCompress } from 'node:zlib';
import { compress as snappy } from 'snappy';
import type { BatchBuilder } from './batch-builder.ts';
import { BytesBuilder, type ColumnBuilder } from './column-builder.ts';
import type { Column } from './column-type.ts';
import { fewDistinct } from './few-distinct.ts';
import { boundsOf, dataPage, dictionaryOf, pageRanges } from './parquet-pages.ts';
import { parquetType, schemaElements } from './parquet-schema.ts';
import { ThriftStruct } from './thrift-compact.ts';

export type ParquetCompression = 'none' | 'snappy' | 'zstd' | 'gzip';

export interface ParquetOptions {
  readonly compression: ParquetCompression;
  /** Kept in the footer. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** In order, each behind the one before. */
export type OnPieces = (pieces: readonly Uint8Array[]) => Promise<void> | void;

interface Codec {
  /** In the format. */
  readonly number: number;
  readonly compress: (bytes: Uint8Array) => Promise<Uint8Array>;
}

const gzipped = promisify(gzip);
const zstd = promisify(zstdCompress);

/** Higher levels take several times as long for a few hundredths of the size. */
const ZSTD_OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

const CODECS: Readonly<Record<ParquetCompression, Codec>> = {
  none: { number: 0, compress: (bytes) => Promise.resolve(bytes) },
  snappy: {
    number: 1,
    compress: (bytes) => snappy(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
  },
  gzip: { number: 2, compress: (bytes) => gzipped(bytes, { chunkSize: outputOf(bytes) }) },
  zstd: { number: 6, compress: (bytes) => zstd(bytes, { ...ZSTD_OPTIONS, chunkSize: outputOf(bytes) }) },
};

/** Room for all that comes of it, in one piece. */
function outputOf({ byteLength }: Uint8Array): number {
  return byteLength + (byteLength >> 8) + 1024;
}

const MAGIC = Buffer.from('PAR1');
const VERSION = 2;
const ENCODING = { plain: 0, rle: 3, dictionary: 8 } as const;
const PAGE = { data: 0, dictionary: 2 } as const;

interface PlainPage {
  readonly kind: number;
  readonly header: ThriftStruct;
  readonly bytes: Uint8Array;
}

interface PlainChunk {
  /** The dictionary first, where there is one. */
  readonly pages: readonly PlainPage[];
  readonly values: number;
  readonly hasDictionary: boolean;
  readonly statistics: ThriftStruct;
}

interface EncodedChunk extends PlainChunk {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  /** Before compression, with page headers. */
  readonly plainBytes: number;
  readonly dictionaryBytes: number;
}

export class ParquetFile {
  readonly #codec: Codec;
  readonly #metadata: Readonly<Record<string, string>>;
  readonly #onPieces: OnPieces;
  readonly #groups: ThriftStruct[] = [];
  #columns: readonly Column[] | undefined;
  /** Columns that had few values in the first batch. */
  #dictionaries: readonly boolean[] = [];
  #rows = 0;
  #bytes = 0;

  /** @param onPieces takes the file as it grows; the next pieces wait for it */
  constructor(options: ParquetOptions, onPieces: OnPieces) {
    this.#codec = CODECS[options.compression];
    this.#metadata = options.metadata ?? {};
    this.#onPieces = onPieces;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Of what has come out so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Writes the rows as one row group. They are taken out of the builder at once, so that it may be filled again while
   * they are compressed and written. Await it before the next call.
   */
  async write(batch: BatchBuilder): Promise<void> {
    const { rows, columns, builders } = batch;
    const isFirst = this.#columns === undefined;
    if (isFirst) {
      this.#columns = columns;
      this.#dictionaries = builders.map(fewDistinct);
    }
    const plain = rows === 0 ? [] : builders.map((builder, i) => plainChunk(builder, this.#dictionaries[i]!));
    batch.clear();
    if (isFirst) await this.#put([MAGIC]);
    if (rows === 0) return;
    const chunks = await Promise.all(plain.map((chunk) => compressChunk(chunk, this.#codec)));
    let at = this.#bytes;
    const entries = chunks.map((chunk, i) => {
      const entry = chunkEntry(columns[i]!, chunk, this.#codec, at);
      at += chunk.bytes;
      return entry;
    });
    const plainBytes = chunks.reduce((sum, chunk) => sum + chunk.plainBytes, 0);
    this.#groups.push(new ThriftStruct().structs(1, entries).i64(2, plainBytes).i64(3, rows));
    await this.#put(chunks.flatMap(({ pieces }) => pieces));
    this.#rows += rows;
  }

  /** Writes the footer. A file without rows is written with an empty batch first. */
  async end(): Promise<void> {
    if (this.#columns === undefined) return;
    const footer = new ThriftStruct()
      .i32(1, VERSION)
      .structs(2, schemaElements(this.#columns))
      .i64(3, this.#rows)
      .structs(4, this.#groups);
    const metadata = Object.entries(this.#metadata);
    if (metadata.length > 0) {
      footer.structs(
        5,
        metadata.map(([key, value]) => new ThriftStruct().binary(1, key).binary(2, value)),
      );
    }
    // Bounds are in the order of the type.
    const order = new ThriftStruct().struct(1, new ThriftStruct());
    footer.binary(6, 'longshore').structs(
      7,
      this.#columns.map(() => order),
    );
    const bytes = footer.bytes();
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(bytes.byteLength);
    await this.#put([bytes, length, MAGIC]);
  }

  async #put(pieces: readonly Uint8Array[]): Promise<void> {
    for (const { byteLength } of pieces) this.#bytes += byteLength;
    await this.#onPieces(pieces);
  }
}

/** A column of a row group, encoded and not compressed: copies of what the builder holds. */
function plainChunk(builder: ColumnBuilder, wantsDictionary: boolean): PlainChunk {
  const dictionary = wantsDictionary && builder instanceof BytesBuilder ? dictionaryOf(builder) : undefined;
  const encoding = dictionary === undefined ? ENCODING.plain : ENCODING.dictionary;
  const pages = pageRanges(builder).map(({ from, to }): PlainPage => {
    const { values, parts } = dataPage(builder, from, to, dictionary);
    const header = new ThriftStruct()
      .i32(1, values)
      .i32(2, encoding)
      .i32(3, ENCODING.rle)
      .i32(4, ENCODING.rle);
    return { kind: PAGE.data, header, bytes: Buffer.concat(parts) };
  });
  if (dictionary !== undefined) {
    const header = new ThriftStruct().i32(1, dictionary.values).i32(2, ENCODING.plain);
    pages.unshift({ kind: PAGE.dictionary, header, bytes: dictionary.bytes });
  }
  const bounds = boundsOf(builder);
  const statistics = new ThriftStruct().i64(3, builder.nullCount);
  if (bounds !== undefined) statistics.binary(5, bounds.max).binary(6, bounds.min);
  return { pages, values: builder.length, hasDictionary: dictionary !== undefined, statistics };
}

async function compressChunk(chunk: PlainChunk, codec: Codec): Promise<EncodedChunk> {
  let plainBytes = 0;
  const pages = await Promise.all(
    chunk.pages.map(async ({ kind, header, bytes }) => {
      const content = await codec.compress(bytes);
      const page = new ThriftStruct().i32(1, kind).i32(2, bytes.byteLength).i32(3, content.byteLength);
      const headerBytes = page.struct(kind === PAGE.data ? 5 : 7, header).bytes();
      plainBytes += headerBytes.byteLength + bytes.byteLength;
      return [headerBytes, content] as const;
    }),
  );
  const bytesOf = (pieces: readonly Uint8Array[]) =>
    pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return {
    ...chunk,
    pieces: pages.flat(),
    bytes: bytesOf(pages.flat()),
    plainBytes,
    dictionaryBytes: chunk.hasDictionary ? bytesOf(pages[0]!) : 0,
  };
}

/** What the footer says of a column of a row group that begins at a place of the file. */
function chunkEntry({ name, type }: Column, chunk: EncodedChunk, codec: Codec, at: number): ThriftStruct {
  const metadata = new ThriftStruct()
    .i32(1, parquetType(type).physical)
    .i32s(2, [ENCODING.plain, ENCODING.rle, ...(chunk.hasDictionary ? [ENCODING.dictionary] : [])])
    .binaries(3, [name])
    .i32(4, codec.number)
    .i64(5, chunk.values)
    .i64(6, chunk.plainBytes)
    .i64(7, chunk.bytes)
    .i64(9, at + chunk.dictionaryBytes);
  if (chunk.hasDictionary) metadata.i64(11, at);
  return new ThriftStruct().i64(2, at).struct(3, metadata.struct(12, chunk.statistics));
}
