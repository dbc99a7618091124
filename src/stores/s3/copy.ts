/** Copies inside S3, the bytes never passing through us: whole by CopyObject, or in parts by UploadPartCopy. */

import { LongshoreError } from '../../errors.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import type { CopyOutcome, CopyRequest, ObjectHead, ObjectTag } from '../object-store.ts';
import { attributeHeaders } from './attributes.ts';
import { abortUpload, completeUpload, createUpload, type UploadedPart, uploadPart } from './multipart.ts';
import { errorCodeOf } from './response-error.ts';
import { partBytesFor, type S3Client } from './s3-client.ts';
import { encodeKey } from './sign.ts';
import type { WireRequest } from './wire.ts';
import { bareEtag, elementText } from './xml.ts';

/** What a copy in parts must read of the source, which CopyObject reads by itself. */
export interface CopySource {
  readonly bucket: string;
  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined>;
  tags(key: string, signal?: AbortSignal): Promise<ObjectTag[]>;
}

/** CopyObject, or parts where the object is too large for it or a part layout is asked for. */
export async function copyObject(
  client: S3Client,
  source: CopySource,
  request: CopyRequest,
  signal?: AbortSignal,
): Promise<CopyOutcome> {
  const size = request.sizeBytes;
  if (request.partBytes !== undefined || (size !== undefined && size > client.limits.copyBytesMax)) {
    return copyInParts(client, source, request, signal);
  }
  const wire = wholeCopyRequest(source.bucket, request);
  const response = await client.wire.send(wire, signal);
  if (response.status < 300) {
    // The etag is all a copy must say; a document without it is an error, cut short, or empty.
    const etag = elementText(response.body, 'ETag');
    if (etag === undefined || !response.body.includes('</CopyObjectResult>')) {
      client.checkDocument('s3:PutObject', wire, response, 'CopyObjectResult');
    }
    return { kind: 'copied', etag: bareEtag(etag ?? ''), how: 'server' };
  }
  const code = errorCodeOf(response);
  switch (code) {
    case 'PreconditionFailed':
      return failedPrecondition(elementText(response.body, 'Condition'), source, request, signal);
    case 'NoSuchKey':
      return { kind: 'source-missing' };
    case 'InvalidRequest':
    case 'EntityTooLarge':
      if (code === 'EntityTooLarge' || /larger than the maximum allowable size/i.test(response.body)) {
        return copyInParts(client, source, request, signal);
      }
  }
  throw client.error('s3:GetObject (source), s3:PutObject (target)', wire, response);
}

/** Stores do not all say which condition failed; then the source is asked whether it is still the same. */
async function failedPrecondition(
  condition: string | undefined,
  source: CopySource,
  request: CopyRequest,
  signal: AbortSignal | undefined,
): Promise<CopyOutcome> {
  if (condition !== undefined && /copy-source/i.test(condition)) return { kind: 'source-changed' };
  if (condition !== undefined && /none-match/i.test(condition)) return { kind: 'target-exists' };
  if (request.sourceEtag === undefined) return { kind: 'target-exists' };
  const head = await source.head(request.sourceKey, signal);
  if (head === undefined) return { kind: 'source-missing' };
  return head.etag === request.sourceEtag ? { kind: 'target-exists' } : { kind: 'source-changed' };
}

function wholeCopyRequest(sourceBucket: string, request: CopyRequest): WireRequest {
  const headers: [string, string][] = [copySourceHeader(sourceBucket, request.sourceKey)];
  if (request.sourceEtag !== undefined) {
    headers.push(['x-amz-copy-source-if-match', `"${request.sourceEtag}"`]);
  }
  headers.push(...targetConditions(request));
  if (request.storageClass !== undefined && request.storageClass !== 'STANDARD') {
    headers.push(['x-amz-storage-class', request.storageClass]);
  }
  if (!request.keep.tags) headers.push(['x-amz-tagging-directive', 'REPLACE']);
  headers.push(...encryptionHeaders(request));
  return {
    method: 'PUT',
    key: request.targetKey,
    headers,
    timeoutMs: copyTimeoutMs(request.sizeBytes),
  };
}

function copySourceHeader(bucket: string, key: string): [string, string] {
  return ['x-amz-copy-source', `/${bucket}/${encodeKey(key)}`];
}

function targetConditions(request: {
  ifAbsent: boolean;
  ifTargetEtag?: string | undefined;
}): [string, string][] {
  if (request.ifTargetEtag !== undefined) return [['if-match', `"${request.ifTargetEtag}"`]];
  return request.ifAbsent ? [['if-none-match', '*']] : [];
}

function encryptionHeaders(request: CopyRequest): [string, string][] {
  const { encryption } = request;
  if (encryption === undefined) return [];
  const headers: [string, string][] = [['x-amz-server-side-encryption', encryption.algorithm]];
  if (encryption.kmsKeyId !== undefined) {
    headers.push(['x-amz-server-side-encryption-aws-kms-key-id', encryption.kmsKeyId]);
  }
  return headers;
}

/** A copy of gigabytes may take minutes in which the store sends nothing. */
function copyTimeoutMs(sizeBytes = 0): number | undefined {
  return sizeBytes < SLOW_COPY_BYTES ? undefined : 60_000 + sizeBytes / SLOW_COPY_BYTES_PER_MS;
}

const SLOW_COPY_BYTES = 64 * 1024 ** 2;
const SLOW_COPY_BYTES_PER_MS = 10_000;

/**
 * Copies in parts: what CopyObject keeps by itself (attributes, metadata, tags) is read and given to the upload.
 * Killed on the way it leaves an unfinished upload, which is invisible to readers; a failure aborts it.
 */
async function copyInParts(
  client: S3Client,
  source: CopySource,
  request: CopyRequest,
  signal?: AbortSignal,
): Promise<CopyOutcome> {
  const head = await source.head(request.sourceKey, signal);
  if (head === undefined) return { kind: 'source-missing' };
  if (request.sourceEtag !== undefined && head.etag !== request.sourceEtag) return { kind: 'source-changed' };
  const tags = request.keep.tags && head.tagCount !== 0 ? await source.tags(request.sourceKey, signal) : [];
  const uploadId = await createUpload(
    client,
    request.targetKey,
    [...attributeHeaders({ ...head.attributes, ...storageClassOf(request) }), ...encryptionHeaders(request)],
    tags,
    signal,
  );
  try {
    const partBytes = partBytesFor(head.sizeBytes, client.limits, request.partBytes);
    const starts: number[] = [];
    for (let start = 0; start < head.sizeBytes; start += partBytes) starts.push(start);
    const parts = await mapConcurrent(starts, client.limits.partsConcurrent, (start, index) => {
      const range: [number, number] = [start, Math.min(start + partBytes, head.sizeBytes) - 1];
      return client.retryPart(
        () => copyPart(client, source, request, head.etag, uploadId, index + 1, range, signal),
        signal,
      );
    });
    // An empty object has no range to copy; its one part is written.
    if (head.sizeBytes === 0) {
      parts.push(await uploadPart(client, request.targetKey, uploadId, 1, new Uint8Array(), signal));
    }
    const done = await completeUpload(
      client,
      request.targetKey,
      uploadId,
      parts,
      targetConditions(request),
      signal,
    );
    if (done === 'target-exists') {
      await abortUpload(client, request.targetKey, uploadId);
      return { kind: 'target-exists' };
    }
    return { kind: 'copied', etag: done.etag, how: 'parts' };
  } catch (error) {
    await abortUpload(client, request.targetKey, uploadId);
    if (error instanceof SourceGone) return { kind: error.kind };
    throw error;
  }
}

function storageClassOf(request: CopyRequest): { storageClass?: string } {
  return request.storageClass === undefined ? {} : { storageClass: request.storageClass };
}

async function copyPart(
  client: S3Client,
  source: CopySource,
  request: CopyRequest,
  etag: string,
  uploadId: string,
  partNumber: number,
  [first, last]: [number, number],
  signal: AbortSignal | undefined,
): Promise<UploadedPart> {
  const wire: WireRequest = {
    method: 'PUT',
    key: request.targetKey,
    query: [
      ['partNumber', String(partNumber)],
      ['uploadId', uploadId],
    ],
    headers: [
      copySourceHeader(source.bucket, request.sourceKey),
      ['x-amz-copy-source-if-match', `"${etag}"`],
      ['x-amz-copy-source-range', `bytes=${first}-${last}`],
    ],
    timeoutMs: copyTimeoutMs(last - first + 1),
  };
  const response = await client.wire.send(wire, signal);
  if (response.status >= 300) {
    const code = errorCodeOf(response);
    if (code === 'PreconditionFailed') throw new SourceGone('source-changed');
    if (code === 'NoSuchKey') throw new SourceGone('source-missing');
    throw client.error('s3:GetObject (source), s3:PutObject (target)', wire, response);
  }
  client.checkDocument('s3:PutObject', wire, response, 'CopyPartResult');
  return { partNumber, etag: bareEtag(elementText(response.body, 'ETag') ?? '') };
}

/** The source was overwritten or deleted while its parts were copied. */
class SourceGone extends LongshoreError {
  readonly kind: 'source-changed' | 'source-missing';

  constructor(kind: 'source-changed' | 'source-missing') {
    super('OBJECT_FAILED', 'the source changed while it was copied');
    this.kind = kind;
  }
}
