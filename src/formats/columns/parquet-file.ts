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
import { boundsOf, type Dictionary, dataPage, dictionaryOf, pageRanges } from './parquet-pages.ts';
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
  gzip: { number: 2, compress: (bytes) => gzipped(bytes) },
  zstd: { number: 6, compress: (bytes) => zstd(bytes, ZSTD_OPTIONS) },
};

const MAGIC = Buffer.from('PAR1');
const VERSION = 2;
const ENCODING = { plain: 0, rle: 3, dictionary: 8 } as const;
const PAGE = { data: 0, dictionary: 2 } as const;

interface EncodedChunk {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  /** Before compression, with page headers. */
  readonly plainBytes: number;
  /** Its entry in the footer, where the chunk begins at a place of the file. */
  readonly describe: (at: number) => ThriftStruct;
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

  /** Takes the rows out of the builder, as one row group; nothing may be added to it meanwhile. */
  async write(batch: BatchBuilder): Promise<void> {
    if (this.#columns === undefined) {
      this.#columns = batch.columns;
      this.#dictionaries = batch.builders.map(fewDistinct);
      await this.#put([MAGIC]);
    }
    const { rows } = batch;
    if (rows === 0) return;
    const chunks = await Promise.all(
      batch.columns.map((column, i) =>
        encodeChunk(column, batch.builders[i]!, this.#codec, this.#dictionaries[i]!),
      ),
    );
    let at = this.#bytes;
    const described = chunks.map((chunk) => {
      const entry = new ThriftStruct().i64(2, at).struct(3, chunk.describe(at));
      at += chunk.bytes;
      return entry;
    });
    this.#groups.push(
      new ThriftStruct()
        .structs(1, described)
        .i64(
          2,
          chunks.reduce((sum, { plainBytes }) => sum + plainBytes, 0),
        )
        .i64(3, rows),
    );
    await this.#put(chunks.flatMap(({ pieces }) => pieces));
    this.#rows += rows;
    batch.clear();
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

async function encodeChunk(
  { name, type }: Column,
  builder: ColumnBuilder,
  codec: Codec,
  wantsDictionary: boolean,
): Promise<EncodedChunk> {
  const dictionary = wantsDictionary && builder instanceof BytesBuilder ? dictionaryOf(builder) : undefined;
  const pages = [
    ...(dictionary === undefined ? [] : [dictionaryPage(dictionary, codec)]),
    ...pageRanges(builder).map(async ({ from, to }) => {
      const { values, parts } = dataPage(builder, from, to, dictionary);
      const header = new ThriftStruct()
        .i32(1, values)
        .i32(2, dictionary === undefined ? ENCODING.plain : ENCODING.dictionary)
        .i32(3, ENCODING.rle)
        .i32(4, ENCODING.rle);
      return await encodePage(PAGE.data, Buffer.concat(parts), (page) => page.struct(5, header), codec);
    }),
  ];
  const encoded = await Promise.all(pages);
  const bytes = encoded.reduce((sum, page) => sum + page.header.byteLength + page.content.byteLength, 0);
  const plainBytes = encoded.reduce((sum, page) => sum + page.header.byteLength + page.plainBytes, 0);
  const bounds = boundsOf(builder);
  const statistics = new ThriftStruct().i64(3, builder.nullCount);
  if (bounds !== undefined) statistics.binary(5, bounds.max).binary(6, bounds.min);
  const { length: values } = builder;
  const dictionaryBytes =
    dictionary === undefined ? 0 : encoded[0]!.header.byteLength + encoded[0]!.content.byteLength;
  return {
    pieces: encoded.flatMap(({ header, content }) => [header, content]),
    bytes,
    plainBytes,
    describe(at) {
      const chunk = new ThriftStruct()
        .i32(1, parquetType(type).physical)
        .i32s(
          2,
          dictionary === undefined
            ? [ENCODING.plain, ENCODING.rle]
            : [ENCODING.plain, ENCODING.rle, ENCODING.dictionary],
        )
        .binaries(3, [name])
        .i32(4, codec.number)
        .i64(5, values)
        .i64(6, plainBytes)
        .i64(7, bytes)
        .i64(9, at + dictionaryBytes);
      if (dictionary !== undefined) chunk.i64(11, at);
      return chunk.struct(12, statistics);
    },
  };
}

interface EncodedPage {
  readonly header: Uint8Array;
  readonly content: Uint8Array;
  readonly plainBytes: number;
}

async function dictionaryPage({ values, bytes }: Dictionary, codec: Codec): Promise<EncodedPage> {
  const header = new ThriftStruct().i32(1, values).i32(2, ENCODING.plain);
  return await encodePage(PAGE.dictionary, bytes, (page) => page.struct(7, header), codec);
}

async function encodePage(
  kind: number,
  bytes: Uint8Array,
  add: (page: ThriftStruct) => ThriftStruct,
  codec: Codec,
): Promise<EncodedPage> {
  const content = await codec.compress(bytes);
  const header = add(new ThriftStruct().i32(1, kind).i32(2, bytes.byteLength).i32(3, content.byteLength));
  return { header: header.bytes(), content, plainBytes: bytes.byteLength };
}
