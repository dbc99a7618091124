/** Reads a file of a backup as it was before it was packed: decrypted, decompressed, and proven to be what was stored. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { LongshoreError } from '../../errors.ts';
import type { BytesTransform } from './encryption.ts';
import type { BackupFile, BackupManifest } from './manifest.ts';
import type { BackupPlace } from './repository.ts';
import { zstdPlain } from './zstd-plain.ts';

export type Packing = Pick<BackupManifest, 'compression' | 'encryption'>;

/**
 * @param decrypt of what is encrypted
 * @returns the bytes; it fails at its end where what was stored is not what the manifest names
 * @throws OBJECT_FAILED where it is gone, CONFIG_INVALID where it is encrypted and there is no identity
 */
export async function openStoredFile(
  { store, prefix }: BackupPlace,
  file: BackupFile,
  { compression, encryption }: Packing,
  decrypt: BytesTransform | undefined,
  signal: AbortSignal,
): Promise<Readable> {
  const name = `${store.name}/${prefix}${file.key}`;
  if (encryption === 'age' && decrypt === undefined) {
    throw new LongshoreError('CONFIG_INVALID', `${name} is encrypted`, {
      hint: 'give the file of an identity that it was encrypted to, with --identity',
    });
  }
  const opened = await store.get({ key: prefix + file.key }, signal);
  if (opened === undefined) {
    throw new LongshoreError('OBJECT_FAILED', `${name} is gone`, { hint: 'restore another backup' });
  }
  const stored = proven(opened.body, file, name);
  const packed = encryption === 'age' ? decrypt!(stored) : stored;
  const source = Readable.from(packed, { objectMode: false });
  if (compression === 'none') return source;
  return zstdPlain(source, name);
}

/** Holds the end back until the bytes are known to be right: what reads them must not end well before. */
async function* proven(body: AsyncIterable<Buffer>, file: BackupFile, name: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  let last: Buffer | undefined;
  for await (const chunk of body) {
    hash.update(chunk);
    bytes += chunk.byteLength;
    if (last !== undefined) yield last;
    last = chunk;
  }
  if (bytes !== file.bytes || hash.digest('hex') !== file.sha256) {
    throw new LongshoreError('OBJECT_FAILED', `${name} is not the file that was backed up`, {
      hint: 'it was changed or damaged since: restore another backup',
    });
  }
  if (last !== undefined) yield last;
}
