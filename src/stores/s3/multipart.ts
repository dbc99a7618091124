/** Multipart uploads: create, upload, complete, abort. */

import { createHash } from 'node:crypto';
import { messageOf } from '../../errors.ts';
import type { ObjectTag } from '../object-store.ts';
import { errorCodeOf } from './response-error.ts';
import type { S3Client } from './s3-client.ts';
import { encodeQuery } from './sign.ts';
import type { WireRequest } from './wire.ts';
import { bareEtag, elementText, encodeXml } from './xml.ts';

export interface UploadedPart {
  readonly partNumber: number;
  readonly etag: string;
}

/** @returns the upload's id */
export async function createUpload(
  client: S3Client,
  key: string,
  headers: readonly (readonly [string, string])[],
  tags: readonly ObjectTag[],
  signal?: AbortSignal,
): Promise<string> {
  const request: WireRequest = {
    method: 'POST',
    key,
    query: [['uploads', '']],
    headers: [...headers, ...taggingHeader(tags)],
  };
  const response = await client.document('s3:PutObject', request, 'InitiateMultipartUploadResult', signal);
  return elementText(response.body, 'UploadId') ?? '';
}

/** The header that gives a new object its tags; none for none, because some stores refuse the header. */
export function taggingHeader(tags: readonly ObjectTag[]): [string, string][] {
  if (tags.length === 0) return [];
  return [['x-amz-tagging', tags.map((t) => `${encodeQuery(t.key)}=${encodeQuery(t.value)}`).join('&')]];
}

export async function uploadPart(
  client: S3Client,
  key: string,
  uploadId: string,
  partNumber: number,
  body: Uint8Array,
  signal?: AbortSignal,
): Promise<UploadedPart> {
  const response = await client.ok(
    's3:PutObject',
    {
      method: 'PUT',
      key,
      query: [
        ['partNumber', String(partNumber)],
        ['uploadId', uploadId],
      ],
      headers: [['content-md5', createHash('md5').update(body).digest('base64')]],
      body,
    },
    signal,
  );
  return { partNumber, etag: bareEtag(response.headers.get('etag') ?? '') };
}

/** Makes the object visible. An answer that is not whole leaves open whether it is. */
export async function completeUpload(
  client: S3Client,
  key: string,
  uploadId: string,
  parts: readonly UploadedPart[],
  conditions: readonly (readonly [string, string])[],
  signal?: AbortSignal,
): Promise<{ etag: string } | 'target-exists'> {
  const list = parts
    .map(
      (p) => `<Part><PartNumber>${p.partNumber}</PartNumber><ETag>${encodeXml(`"${p.etag}"`)}</ETag></Part>`,
    )
    .join('');
  const request: WireRequest = {
    method: 'POST',
    key,
    query: [['uploadId', uploadId]],
    headers: [...conditions, ['content-type', 'application/xml']],
    body: `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list}</CompleteMultipartUpload>`,
    timeoutMs: 300_000,
  };
  const response = await client.wire.send(request, signal);
  if (response.status >= 300) {
    if (errorCodeOf(response) === 'PreconditionFailed') return 'target-exists';
    throw client.error('s3:PutObject', request, response);
  }
  client.checkDocument('s3:PutObject', request, response, 'CompleteMultipartUploadResult');
  return { etag: bareEtag(elementText(response.body, 'ETag') ?? '') };
}

/**
 * Throws the parts away. Runs to the end even when the job was cancelled; a store that cannot do it now keeps
 * the parts until its lifecycle rule does, which is told through the process's warnings.
 */
export async function abortUpload(client: S3Client, key: string, uploadId: string): Promise<void> {
  try {
    const request: WireRequest = { method: 'DELETE', key, query: [['uploadId', uploadId]] };
    const response = await client.wire.send(request);
    // Completed after all, or aborted before: nothing stays.
    if (response.status < 300 || errorCodeOf(response) === 'NoSuchUpload') return;
    throw client.error('s3:AbortMultipartUpload', request, response);
  } catch (error) {
    process.emitWarning(
      `an unfinished multipart upload stays in ${client.bucket}/${key} (upload ${uploadId}): ${messageOf(error)}`,
      'LongshoreWarning',
    );
  }
}
