/** Deletes objects, a thousand a request; on a condition where one is given. */

import { createHash } from 'node:crypto';
import { LongshoreError } from '../../errors.ts';
import type { DeleteOutcome, DeleteRequest } from '../object-store.ts';
import { brokenAnswer, errorCodeOf } from './response-error.ts';
import type { S3Client } from './s3-client.ts';
import type { WireRequest } from './wire.ts';
import { elements, elementText, encodeXml } from './xml.ts';

/**
 * DeleteObjects for many keys, DeleteObject for one. Without a condition a key that does not exist counts as deleted.
 * @returns outcomes in the order of the requests
 */
export async function deleteObjects(
  client: S3Client,
  requests: readonly DeleteRequest[],
  signal?: AbortSignal,
): Promise<DeleteOutcome[]> {
  if (requests.length === 0) return [];
  if (requests.length === 1) return [await deleteOne(client, requests[0]!, signal)];
  const outcomes = new Map<DeleteRequest, DeleteOutcome>();
  let rest = requests;
  try {
    await client.retryPart(async () => {
      const answered = await deleteSome(client, rest, signal);
      for (const [i, request] of rest.entries()) outcomes.set(request, answered[i]!);
      rest = rest.filter((_, i) => isPassing(answered[i]!));
      if (rest.length > 0)
        throw new LongshoreError('STORE_SLOW_DOWN', `${rest.length} keys could not be deleted now`);
    }, signal);
  } catch (error) {
    // Those that could not be deleted in the end are told one by one.
    if (rest.length === 0 || outcomes.size < requests.length) throw error;
  }
  return requests.map((request) => outcomes.get(request)!);
}

function isPassing(outcome: DeleteOutcome): boolean {
  return outcome.kind === 'failed' && PASSING_KEY_ERRORS.has(outcome.code);
}

const PASSING_KEY_ERRORS = new Set([
  'InternalError',
  'SlowDown',
  'ServiceUnavailable',
  'RequestTimeout',
  'OperationAborted',
]);

/** One DeleteObjects. */
async function deleteSome(
  client: S3Client,
  requests: readonly DeleteRequest[],
  signal: AbortSignal | undefined,
): Promise<DeleteOutcome[]> {
  const body = `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${requests.map(itemXml).join('')}</Delete>`;
  const wire: WireRequest = {
    method: 'POST',
    query: [['delete', '']],
    headers: [
      ['content-type', 'application/xml'],
      ['content-md5', createHash('md5').update(body).digest('base64')],
    ],
    body,
  };
  const response = await client.document('s3:DeleteObject', wire, 'DeleteResult', signal);
  const outcomes = new Map<string, DeleteOutcome>();
  for (const xml of elements(response.body, 'Deleted')) {
    const marker = elementText(xml, 'DeleteMarkerVersionId');
    outcomes.set(identity(xml), {
      kind: 'deleted',
      ...(marker === undefined ? {} : { markerVersionId: marker }),
    });
  }
  for (const xml of elements(response.body, 'Error')) {
    outcomes.set(identity(xml), failure(elementText(xml, 'Code') ?? '', elementText(xml, 'Message') ?? ''));
  }
  return requests.map((request) => {
    const outcome = outcomes.get(`${request.key}\n${request.versionId ?? ''}`);
    if (outcome !== undefined) return outcome;
    throw brokenAnswer(
      { action: 's3:DeleteObject', bucket: client.bucket, request: wire },
      `no word of "${request.key}"`,
    );
  });
}

function itemXml(request: DeleteRequest): string {
  const version =
    request.versionId === undefined ? '' : `<VersionId>${encodeXml(request.versionId)}</VersionId>`;
  const etag = request.etag === undefined ? '' : `<ETag>&quot;${encodeXml(request.etag)}&quot;</ETag>`;
  return `<Object><Key>${encodeXml(request.key)}</Key>${version}${etag}</Object>`;
}

function identity(xml: string): string {
  return `${elementText(xml, 'Key') ?? ''}\n${elementText(xml, 'VersionId') ?? ''}`;
}

function failure(code: string, message: string): DeleteOutcome {
  if (code === 'NoSuchKey' || code === 'NoSuchVersion') return { kind: 'absent' };
  if (code === 'PreconditionFailed') return { kind: 'changed' };
  return { kind: 'failed', code, message };
}

async function deleteOne(
  client: S3Client,
  request: DeleteRequest,
  signal: AbortSignal | undefined,
): Promise<DeleteOutcome> {
  const wire: WireRequest = {
    method: 'DELETE',
    key: request.key,
    query: request.versionId === undefined ? [] : [['versionId', request.versionId]],
    headers: request.etag === undefined ? [] : [['if-match', `"${request.etag}"`]],
  };
  const response = await client.wire.send(wire, signal);
  if (response.status < 300) {
    const isMarker =
      response.headers.get('x-amz-delete-marker') === 'true' && request.versionId === undefined;
    const marker = isMarker ? response.headers.get('x-amz-version-id') : undefined;
    return { kind: 'deleted', ...(marker === undefined ? {} : { markerVersionId: marker }) };
  }
  const code = errorCodeOf(response);
  if (code === 'NoSuchKey' || code === 'PreconditionFailed') return failure(code, '');
  throw client.error('s3:DeleteObject', wire, response);
}
