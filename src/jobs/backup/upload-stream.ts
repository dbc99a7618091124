/** Puts a stream of unknown length into the bucket, compressed and encrypted on its way, and proves what lies there. */

import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import zlib from 'node:zlib';
import { LongshoreError } from '../../errors.ts';
import type { CopyOutcome } from '../../stores/object-store.ts';
import type { BackupFile } from './manifest.ts';
import type { BackupPlace } from './repository.ts';

export interface StreamCodec {
  /** Of zstd; not compressed where it is left out. */
  readonly zstdLevel?: number | undefined;
  /** Encrypts what is compressed. */
  readonly encrypt?: ((plain: AsyncIterable<Buffer>) => AsyncIterable<Buffer>) | undefined;
}

export interface UploadedStream extends BackupFile {
  /** Of the object. */
  readonly etag: string;
  /** Before compression. */
  readonly plainBytes: number;
}

/** `.zst.age`: what is behind the extension of the dump. */
export function storedExtension({ zstdLevel, encrypt }: StreamCodec): string {
  return (zstdLevel === undefined ? '' : '.zst') + (encrypt === undefined ? '' : '.age');
}

/**
 * Nothing is there where the stream fails, or somebody else has the key.
 * @param key below the prefix
 * @throws what the stream fails with; OBJECT_FAILED where the key is taken, or what lies there is not what was sent
 */
export async function uploadStream(
  { store, prefix }: BackupPlace,
  key: string,
  source: Readable,
  { zstdLevel, encrypt }: StreamCodec,
  signal: AbortSignal,
): Promise<UploadedStream> {
  let plainBytes = 0;
  let bytes = 0;
  const sha256 = createHash('sha256');
  const counted = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      plainBytes += chunk.byteLength;
      yield chunk;
    }
  };
  const hashed = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      bytes += chunk.byteLength;
      sha256.update(chunk);
      yield chunk;
    }
  };
  const plain = counted(source);
  const packed = zstdLevel === undefined ? plain : compressed(plain, zstdLevel);
  const body = Readable.from(hashed(encrypt === undefined ? packed : encrypt(packed)), { objectMode: false });
  const attributes = { contentType: 'application/octet-stream', metadata: {} };
  // Its error comes out of the put, where that reads as far.
  source.on('error', () => undefined);
  let outcome: CopyOutcome;
  try {
    outcome = await store.put({ key: prefix + key, body, attributes, ifAbsent: true }, signal);
  } finally {
    source.destroy();
  }
  if (outcome.kind !== 'copied') {
    throw new LongshoreError(
      'OBJECT_FAILED',
      `${store.name}/${prefix}${key} was put there by somebody else`,
      {
        hint: 'run the backup again: it takes the next number',
      },
    );
  }
  const head = await store.head(prefix + key, signal);
  if (head?.sizeBytes !== bytes || head.etag !== outcome.etag) {
    throw new LongshoreError('OBJECT_FAILED', `${store.name}/${prefix}${key} is not what was put there`, {
      hint: 'look who else writes below this prefix',
    });
  }
  return { key, bytes, sha256: sha256.digest('hex'), etag: head.etag, plainBytes };
}

/** Large enough that compressing takes few turns. */
const CHUNK_BYTES = 1024 ** 2;

function compressed(plain: AsyncIterable<Buffer>, level: number): AsyncIterable<Buffer> {
  const zstd = zlib.createZstdCompress({
    chunkSize: CHUNK_BYTES,
    params: {
      [zlib.constants.ZSTD_c_compressionLevel]: level,
      [zlib.constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  // Whichever ends first for whatever reason, the other one does too, and the error is read from the end.
  pipeline(plain, zstd, () => undefined);
  return zstd;
}
