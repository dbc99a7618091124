/** How pages of Parquet are compressed: by libraries, on the thread pool or by the calling thread. */

import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { constants, gzip, gzipSync, zstdCompress, zstdCompressSync } from 'node:zlib';

export type ParquetCompression = 'none' | 'snappy' | 'zstd' | 'gzip';

export interface PageCodec {
  /** In the format. */
  readonly number: number;
  readonly onPool: (page: Uint8Array) => Promise<Uint8Array>;
  /** Takes less of all threads together: a page is compressed where it lies in the cache, and in one go. */
  readonly here: (page: Uint8Array) => Uint8Array;
}

/** Native code, in every thread that has it: only where it is asked for. */
const snappy = (): typeof import('snappy') => createRequire(import.meta.url)('snappy');
const gzipped = promisify(gzip);
const zstd = promisify(zstdCompress);

/** Higher levels take several times as long for a few hundredths of the size. */
const ZSTD_LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** The library's own memory is given back at once, and not when it is collected. */
const SNAPPY_OPTIONS = { copyOutputData: true };

export const CODECS: Readonly<Record<ParquetCompression, PageCodec>> = {
  none: { number: 0, onPool: (page) => Promise.resolve(page), here: (page) => page },
  snappy: {
    number: 1,
    onPool: (page) => snappy().compress(page, SNAPPY_OPTIONS),
    here: (page) => snappy().compressSync(page, SNAPPY_OPTIONS),
  },
  gzip: {
    number: 2,
    onPool: (page) => gzipped(page, { chunkSize: outputOf(page) }),
    here: (page) => gzipSync(page, { chunkSize: outputOf(page) }),
  },
  zstd: {
    number: 6,
    onPool: (page) => zstd(page, { ...ZSTD_LEVEL, chunkSize: outputOf(page) }),
    here: (page) => zstdCompressSync(page, { ...ZSTD_LEVEL, chunkSize: outputOf(page) }),
  },
};

/** Whether compression is worth the time of whoever reads it: for random bytes it is not, whatever the codec. */
export function compressionPays(plainBytes: number, compressedBytes: number): boolean {
  return compressedBytes <= plainBytes * SHARE_MAX;
}

const SHARE_MAX = 7 / 8;

/** Room for all that comes of it, in one piece. */
function outputOf({ byteLength }: Uint8Array): number {
  return byteLength + (byteLength >> 8) + 1024;
}
