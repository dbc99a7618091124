/** Receives request bodies: documents whole, objects and parts straight into blobs, with every digest verified. */

import { createHash, hash } from 'node:crypto';
import { decodeAwsChunked } from './aws-chunked.ts';
import { LEAF_BYTES_MAX, type Segment } from './blobs.ts';
import {
  CHECKSUM_ALGORITHMS,
  type Checksum,
  type ChecksumAlgorithm,
  checksumAlgorithmOf,
  checksumHasher,
  checksumHeader,
  type Hasher,
} from './checksums.ts';
import { header, type S3Request, type Service } from './exchange.ts';
import { S3Error } from './s3-error.ts';

const DOCUMENT_BYTES_MAX = 8 * 1024 * 1024;
const UPLOAD_BYTES_MAX = 5 * 1024 ** 3;

/** Bytes received and stored, not yet referred to. */
export interface Received {
  readonly blob: number;
  readonly sizeBytes: number;
  readonly md5: Buffer;
  readonly checksum: Checksum | undefined;
}

/**
 * The XML document of a request.
 * @param options.checksum whether a checksum in the headers is that of the document (and not of an object)
 * @throws {S3Error} BadDigest, XAmzContentSHA256Mismatch, IncompleteBody
 */
export async function readDocument(
  request: S3Request,
  options: { checksum: boolean } = { checksum: true },
): Promise<string> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of plainBody(request, new Map())) {
    sizeBytes += piece.length;
    if (sizeBytes > DOCUMENT_BYTES_MAX) throw new S3Error('EntityTooLarge');
    pieces.push(piece);
  }
  const body = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  checkSha256(request, () => hash('sha256', body));
  checkMd5(request, () => hash('md5', body, 'buffer'));
  const wanted = options.checksum ? wantedChecksum(request) : undefined;
  if (wanted?.value !== undefined) {
    const hasher = checksumHasher(wanted.algorithm);
    hasher.update(body);
    checkChecksum(wanted.algorithm, wanted.value, hasher.digest().toString('base64'));
  }
  return body.toString('utf8');
}

/**
 * The body of a PutObject or UploadPart, stored.
 * @param algorithm compute this checksum even where the request brings none
 * @throws {S3Error} BadDigest, XAmzContentSHA256Mismatch, EntityTooLarge, MissingContentLength, IncompleteBody
 */
export async function receiveBody(
  service: Service,
  request: S3Request,
  algorithm?: ChecksumAlgorithm,
): Promise<Received> {
  const declared = header(request, 'x-amz-decoded-content-length') ?? header(request, 'content-length');
  if (declared === undefined) throw new S3Error('MissingContentLength');
  if (Number(declared) > UPLOAD_BYTES_MAX) {
    throw new S3Error('EntityTooLarge', { details: { MaxSizeAllowed: String(UPLOAD_BYTES_MAX) } });
  }
  const wanted = service.support.checksums ? wantedChecksum(request) : undefined;
  const use = wanted?.algorithm ?? (service.support.checksums ? algorithm : undefined);
  const checksum: Hasher | undefined = use && checksumHasher(use);
  const trailers = new Map<string, string>();
  const store = new LeafWriter(service);
  const signedHash = isSha256(request.payload.contentSha256) ? createHash('sha256') : undefined;
  try {
    for await (const piece of plainBody(request, trailers)) {
      checksum?.update(piece);
      signedHash?.update(piece);
      store.write(piece);
    }
    if (store.sizeBytes !== Number(declared)) throw new S3Error('IncompleteBody');
    if (signedHash !== undefined) checkSha256(request, () => signedHash.digest('hex'));
    const { blob, md5 } = store.finish();
    checkMd5(request, () => md5);
    let value: string | undefined;
    if (use !== undefined && checksum !== undefined) {
      value = checksum.digest().toString('base64');
      checkChecksum(use, wanted?.value ?? trailers.get(checksumHeader(use)), value);
    }
    return {
      blob,
      sizeBytes: store.sizeBytes,
      md5,
      checksum: use && value !== undefined ? { algorithm: use, value, type: 'FULL_OBJECT' } : undefined,
    };
  } catch (error) {
    store.discard();
    throw error;
  }
}

/** The checksum a request brings: named in a header with its value, or announced as a trailer. */
export function wantedChecksum(
  request: S3Request,
): { algorithm: ChecksumAlgorithm; value: string | undefined } | undefined {
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = header(request, checksumHeader(algorithm));
    if (value !== undefined) return { algorithm, value };
  }
  const trailer = header(request, 'x-amz-trailer')?.trim().toLowerCase();
  const algorithm = checksumAlgorithmOf(
    trailer?.startsWith('x-amz-checksum-') ? trailer.slice('x-amz-checksum-'.length) : undefined,
  );
  return algorithm && { algorithm, value: undefined };
}

async function* plainBody(request: S3Request, trailers: Map<string, string>): AsyncGenerator<Buffer> {
  try {
    const source: AsyncIterableIterator<Buffer> = request.body.iterator({ destroyOnReturn: false });
    if (request.payload.contentSha256.startsWith('STREAMING-')) {
      yield* decodeAwsChunked(source, trailers, request.payload.chunks);
    } else {
      yield* source;
    }
  } catch (error) {
    if (error instanceof S3Error) throw error;
    throw new S3Error('IncompleteBody');
  }
}

/** Cuts a stream into leaves of at most 1 MiB; a small body is held back and stored at the end. */
class LeafWriter {
  readonly #service: Service;
  readonly #segments: Segment[] = [];
  readonly #md5 = createHash('md5');
  #pieces: Buffer[] = [];
  #heldBytes = 0;
  sizeBytes = 0;

  constructor(service: Service) {
    this.#service = service;
  }

  write(piece: Buffer): void {
    this.#md5.update(piece);
    this.sizeBytes += piece.length;
    let rest = piece;
    while (this.#heldBytes + rest.length > LEAF_BYTES_MAX) {
      const room = LEAF_BYTES_MAX - this.#heldBytes;
      this.#hold(rest.subarray(0, room));
      this.#flush(null);
      rest = rest.subarray(room);
    }
    if (rest.length > 0) this.#hold(rest);
  }

  finish(): { blob: number; md5: Buffer } {
    const md5 = this.#md5.digest();
    this.#flush(this.#segments.length === 0 ? md5 : null);
    return { blob: this.#service.blobs.compose(this.#segments, md5), md5 };
  }

  discard(): void {
    for (const { blob } of this.#segments) this.#service.blobs.discard(blob);
  }

  #hold(bytes: Buffer): void {
    this.#pieces.push(bytes);
    this.#heldBytes += bytes.length;
  }

  #flush(md5: Buffer | null): void {
    if (this.#heldBytes === 0) return;
    const body = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.#segments.push({ blob: this.#service.blobs.addLeaf(body, md5), start: 0, length: body.length });
    this.#pieces = [];
    this.#heldBytes = 0;
  }
}

function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

function checkSha256(request: S3Request, actual: () => string): void {
  const { contentSha256 } = request.payload;
  if (contentSha256 === 'UNSIGNED-PAYLOAD' || contentSha256.startsWith('STREAMING-')) return;
  const computed = actual();
  if (contentSha256 === computed) return;
  throw new S3Error('XAmzContentSHA256Mismatch', {
    details: { ClientComputedContentSHA256: contentSha256, S3ComputedContentSHA256: computed },
  });
}

function checkMd5(request: S3Request, actual: () => Buffer): void {
  const given = header(request, 'content-md5');
  if (given === undefined) return;
  const expected = Buffer.from(given, 'base64');
  if (expected.length !== 16) throw new S3Error('InvalidDigest');
  if (!expected.equals(actual())) {
    throw new S3Error('BadDigest', {
      message: 'The Content-MD5 you specified did not match what we received.',
    });
  }
}

function checkChecksum(algorithm: ChecksumAlgorithm, expected: string | undefined, actual: string): void {
  if (expected === undefined || expected === actual) return;
  throw new S3Error('BadDigest', {
    message: `The ${algorithm} you specified did not match the calculated checksum.`,
  });
}
