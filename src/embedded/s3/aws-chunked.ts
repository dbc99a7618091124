/**
 * Decodes bodies with `Content-Encoding: aws-chunked` (x-amz-content-sha256: STREAMING-…): chunks with or without
 * signatures, and trailers.
 */

import { createHash, type Hash, hash } from 'node:crypto';
import { S3Error } from './s3-error.ts';
import type { ChunkSignatures } from './signature.ts';

const LINE_BYTES_MAX = 16 * 1024;

/** Yields the decoded bytes; `trailers` is filled, names in lower case, before the iteration ends. */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
  signatures: ChunkSignatures | undefined,
): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  const iterator = source[Symbol.asyncIterator]();
  const more = async (): Promise<void> => {
    const next = await iterator.next();
    if (next.done === true) throw new S3Error('IncompleteBody');
    rest = rest.length === 0 ? next.value : Buffer.concat([rest, next.value]);
  };
  const line = async (): Promise<string> => {
    let end = rest.indexOf('\r\n');
    while (end === -1) {
      if (rest.length > LINE_BYTES_MAX) throw new S3Error('IncompleteBody');
      await more();
      end = rest.indexOf('\r\n');
    }
    const text = rest.toString('latin1', 0, end);
    rest = rest.subarray(end + 2);
    return text;
  };

  for (;;) {
    const { sizeBytes, signature } = readChunkLine(await line());
    const hasher: Hash | undefined = signatures && createHash('sha256');
    let left = sizeBytes;
    while (left > 0) {
      if (rest.length === 0) await more();
      const piece = rest.subarray(0, left);
      rest = rest.subarray(piece.length);
      left -= piece.length;
      hasher?.update(piece);
      yield piece;
    }
    if (hasher !== undefined) signatures?.checkChunk(hasher.digest('hex'), signature);
    if (sizeBytes === 0) break;
    if ((await line()) !== '') throw new S3Error('IncompleteBody');
  }

  let signed = '';
  for (let text = await line(); text !== ''; text = await line()) {
    const colon = text.indexOf(':');
    const name = text.slice(0, colon).trim().toLowerCase();
    const value = text.slice(colon + 1).trim();
    if (name === 'x-amz-trailer-signature') signatures?.checkTrailer(hash('sha256', signed), value);
    else {
      trailers.set(name, value);
      signed += `${name}:${value}\n`;
    }
  }
}

function readChunkLine(text: string): { sizeBytes: number; signature: string } {
  const match = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?/.exec(text);
  if (match === null) throw new S3Error('IncompleteBody');
  return { sizeBytes: Number.parseInt(match[1]!, 16), signature: match[2] ?? '' };
}
