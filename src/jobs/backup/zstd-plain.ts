/** Decompresses zstd, and makes sure that nothing of it is left: a decompressor of Node may stop behind a frame. */

import { Readable } from 'node:stream';
import zlib, { type ZstdDecompress } from 'node:zlib';
import { LongshoreError } from '../../errors.ts';

const CHUNK_BYTES = 1024 ** 2;

/** The plain bytes; they fail where frames are left over. @param name of the object, for errors */
export function zstdPlain(packed: Readable, name: string): Readable {
  return Readable.from(plainOf(packed, name), { objectMode: false });
}

async function* plainOf(packed: Readable, name: string): AsyncGenerator<Buffer> {
  const plain = zlib.createZstdDecompress({ chunkSize: CHUNK_BYTES });
  const fed = feed(packed, plain, name);
  fed.catch((error: Error) => plain.destroy(error));
  try {
    yield* plain as AsyncIterable<Buffer>;
    if (plain.bytesWritten < (await fed)) throw severalFrames(name);
  } finally {
    packed.destroy();
  }
}

/** @returns how many bytes there were */
async function feed(packed: Readable, plain: ZstdDecompress, name: string): Promise<number> {
  let bytes = 0;
  for await (const chunk of packed as AsyncIterable<Buffer>) {
    if (plain.readableEnded || plain.destroyed) throw severalFrames(name);
    bytes += chunk.byteLength;
    if (!plain.write(chunk)) await ready(plain);
  }
  plain.end();
  return bytes;
}

/** When more may be written, or never again. */
function ready(plain: ZstdDecompress): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      plain.off('drain', go).off('close', go);
      resolve();
    };
    plain.on('drain', go).on('close', go);
  });
}

function severalFrames(name: string): LongshoreError {
  return new LongshoreError('OBJECT_FAILED', `${name} has several frames of zstd`, {
    hint: 'decompress it with the zstd program, and restore what comes out',
  });
}
