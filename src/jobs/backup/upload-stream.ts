/** Puts a stream of unknown length into the bucket, compressed and encrypted on its way, and proves what lies there. */

import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { LongshoreError } from '../../errors.ts';
import type { PieceLender } from '../../flow/buffer-pool.ts';
import { deleteObjects } from '../../stores/list-keys.ts';
import type { ObjectHead, ObjectStore } from '../../stores/object-store.ts';
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
 * @param onBytes called as they come, with how many there were
 * @throws what the stream fails with; OBJECT_FAILED where the key is taken, or what lies there is not what was sent
 */
export async function uploadStream(
  { store, prefix }: BackupPlace,
  key: string,
  source: Readable & Partial<PieceLender>,
  { zstdLevel, encrypt }: StreamCodec,
  signal: AbortSignal,
  onBytes: (plainBytes: number) => void = () => undefined,
): Promise<UploadedStream> {
  let plainBytes = 0;
  let bytes = 0;
  const sha256 = createHash('sha256');
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      plainBytes += chunk.byteLength;
      onBytes(plainBytes);
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
  const plain = counted();
  const packed =
    zstdLevel === undefined ? plain : compressed(plain, zstdLevel, (chunk) => source.giveBack?.(chunk));
  const body = Readable.from(hashed(encrypt === undefined ? packed : encrypt(packed)), { objectMode: false });
  const run = randomUUID();
  const attributes = { contentType: 'application/octet-stream', metadata: { [RUN]: run } };
  // Its error comes out of the put, where that reads as far.
  source.on('error', () => undefined);
  let etag: string | undefined;
  try {
    const outcome = await store.put({ key: prefix + key, body, attributes, ifAbsent: true }, signal);
    if (outcome.kind === 'copied') etag = outcome.etag;
  } catch (error) {
    if (!body.readableEnded) throw error;
    // The last answer may be what was lost, and not the object.
    const there = await ownedBy(store, prefix + key, run);
    if (signal.aborted && there !== undefined)
      await deleteObjects(store, [{ key: prefix + key, etag: there }]);
    if (signal.aborted || there === undefined) throw error;
  } finally {
    source.destroy();
  }
  // Also where a signal came meanwhile: whoever called takes away what is returned.
  const head = await store.head(prefix + key).catch(async (error: unknown) => {
    if (etag !== undefined) await deleteObjects(store, [{ key: prefix + key, etag }]);
    throw error;
  });
  if (etag === undefined && head?.attributes.metadata[RUN] !== run) {
    throw new LongshoreError(
      'OBJECT_FAILED',
      `${store.name}/${prefix}${key} was put there by somebody else`,
      {
        hint: 'run the backup again: it takes the next number',
      },
    );
  }
  if (head?.sizeBytes !== bytes || (etag !== undefined && head.etag !== etag)) {
    throw new LongshoreError('OBJECT_FAILED', `${store.name}/${prefix}${key} is not what was put there`, {
      hint: 'look who else writes below this prefix',
    });
  }
  return { key, bytes, sha256: sha256.digest('hex'), etag: head.etag, plainBytes };
}

/** Whose object it is, in its metadata. */
const RUN = 'longshore-run';

/** Whether an object was put by {@link uploadStream}. */
export function isUploaded({ attributes }: ObjectHead): boolean {
  return attributes.metadata[RUN] !== undefined;
}

/** @returns its ETag; undefined where none is there, or one of somebody else */
async function ownedBy(store: ObjectStore, key: string, run: string): Promise<string | undefined> {
  const head = await store.head(key);
  return head?.attributes.metadata[RUN] === run ? head.etag : undefined;
}

/** Large enough that compressing takes few turns. */
const CHUNK_BYTES = 1024 ** 2;

/** @param onDone given each chunk when it is needed no more */
function compressed(
  plain: AsyncIterable<Buffer>,
  level: number,
  onDone: (chunk: Buffer) => void,
): AsyncIterable<Buffer> {
  const zstd = zlib.createZstdCompress({
    chunkSize: CHUNK_BYTES,
    params: {
      [zlib.constants.ZSTD_c_compressionLevel]: level,
      [zlib.constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  const write = promisify<Buffer, void>(zstd.write.bind(zstd));
  const feed = async (): Promise<void> => {
    for await (const chunk of plain) {
      await write(chunk);
      onDone(chunk);
    }
    zstd.end();
  };
  // Also a source that breaks off is read from the end.
  feed().catch((error: Error) => zstd.destroy(error));
  return zstd;
}
