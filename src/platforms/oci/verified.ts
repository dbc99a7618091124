/** Content that is named by its digest, checked while it passes. */

import { createHash } from 'node:crypto';
import { LongshoreError } from '../../errors.ts';
import type { Descriptor } from './image.ts';

/** Holds back the last piece until size and digest are known to be right. @throws STORE_RESPONSE where they are not */
export async function* verified(
  content: AsyncIterable<Uint8Array>,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  from: string,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let bytes = 0;
  let held: Uint8Array | undefined;
  for await (const piece of content) {
    if (held !== undefined) yield held;
    bytes += piece.length;
    if (bytes > size) break;
    hash.update(piece);
    held = piece;
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (bytes !== size || found !== digest) {
    const why =
      bytes === size
        ? `has the digest ${found}`
        : `has ${bytes > size ? 'more than ' : ''}${Math.min(bytes, size)} of ${size} bytes`;
    throw new LongshoreError('STORE_RESPONSE', `${digest} of ${from} is damaged: it ${why}`, {
      hint: 'build or pull it again',
    });
  }
  if (held !== undefined) yield held;
}

/** All of it in memory. @throws STORE_RESPONSE where it has more than `bytesMax` */
export async function collected(
  content: AsyncIterable<Uint8Array>,
  bytesMax: number,
  what: string,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of content) {
    bytes += piece.length;
    if (bytes > bytesMax)
      throw new LongshoreError(
        'STORE_RESPONSE',
        `${what} has more than ${bytesMax} bytes, which nothing of an artifact has`,
      );
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** Of manifests and configurations; registries take no larger ones. */
export const DOCUMENT_BYTES_MAX: number = 4 * 1024 * 1024;
