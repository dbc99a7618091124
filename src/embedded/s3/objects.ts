/** PutObject, GetObject, HeadObject and RestoreObject. */

import { randomBytes } from 'node:crypto';
import {
  attributeHeaders,
  type Extra,
  encryptionHeaders,
  etagIsMd5,
  readExtra,
  readExtraHeaders,
  readHeaders,
  readStorageClass,
  readTaggingHeader,
  storeExtra,
} from './attributes.ts';
import { type Received, readDocument, receiveBody, wantedChecksum } from './body.ts';
import { checksumHeader } from './checksums.ts';
import { checkTarget, isNotModified } from './conditions.ts';
import {
  emptyResponse,
  header,
  type Operation,
  type S3Request,
  type S3Response,
  type Service,
} from './exchange.ts';
import { findVersion } from './find-version.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';
import type { VersionRow } from './versions-table.ts';
import { xmlText } from './xml.ts';

const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE']);
const INLINE_BYTES_MAX = 1024 * 1024;

export const putObject: Operation = async (service, request) => {
  const name = service.buckets.resolve(request.bucketName);
  const resource = `${name}/${request.key}`;
  demand(request.principal, 's3:PutObject', resource);
  const bucket = service.buckets.get(request.bucketName);
  const key = Buffer.from(request.key);
  if (service.support.conditionalPut) checkTarget(request, service.versions.current(bucket, key));
  const headers = readHeaders(request);
  const tags = readTaggingHeader(service, request, resource);
  const extra = readExtraHeaders(service, request, bucket, resource);
  const storageClass = readStorageClass(request);
  checkLockIntegrity(request, extra);
  const received = await receiveBody(service, request);
  try {
    service.buckets.get(request.bucketName);
    const current = service.versions.current(bucket, key);
    if (service.support.conditionalPut) checkTarget(request, current);
    if (received.checksum !== undefined) extra.checksum = received.checksum;
    const etag = etagIsMd5(service, extra) ? received.md5.toString('hex') : randomEtag();
    const version = service.versions.put(
      bucket,
      key,
      {
        blob: received.blob,
        size: received.sizeBytes,
        etag,
        modified: service.now(),
        class: storageClass,
        headers,
        tags,
        extra: storeExtra(extra),
      },
      current,
    );
    return emptyResponse(200, [
      'ETag',
      `"${etag}"`,
      ...(version === null ? [] : ['x-amz-version-id', version]),
      ...encryptionHeaders(extra),
      ...checksumHeaders(received),
    ]);
  } finally {
    service.blobs.discard(received.blob);
  }
};

export const getObject: Operation = (service, request) => read(service, request, true);

export const headObject: Operation = (service, request) => read(service, request, false);

export const restoreObject: Operation = async (service, request) => {
  const body = await readDocument(request);
  const { bucket, row } = findVersion(service, request, 's3:RestoreObject', 's3:RestoreObject');
  if (!ARCHIVED.has(row.class)) {
    throw new S3Error('InvalidObjectState', {
      message: 'Restore is not allowed for the object storage class',
    });
  }
  const until = new Date(service.now() + Number(xmlText(body, 'Days') ?? '1') * 86_400_000).toUTCString();
  const restore = `ongoing-request="false", expiry-date="${until}"`;
  service.versions.setAttributes(bucket, row, { extra: storeExtra({ ...readExtra(row), restore }) });
  return emptyResponse(202);
};

/** @throws {S3Error} InvalidObjectState where the bytes of an archived object are asked for before a restore */
export function checkReadable(row: VersionRow): void {
  if (!ARCHIVED.has(row.class) || readExtra(row).restore !== undefined) return;
  throw new S3Error('InvalidObjectState', { details: { StorageClass: row.class } });
}

/** An ETag that says nothing of the bytes. */
export function randomEtag(): string {
  return randomBytes(16).toString('hex');
}

export function checksumHeaders(received: Pick<Received, 'checksum'>): string[] {
  const { checksum } = received;
  if (checksum === undefined) return [];
  return [checksumHeader(checksum.algorithm), checksum.value, 'x-amz-checksum-type', checksum.type];
}

function read(service: Service, request: S3Request, withBody: boolean): S3Response {
  const { row, resource } = findVersion(service, request, 's3:GetObject', 's3:GetObjectVersion');
  if (withBody) checkReadable(row);
  const slice = sliceOf(request, row);
  const checksum =
    service.support.checksums &&
    header(request, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED' &&
    slice.status === 200;
  const headers = attributeHeaders(service, row, {
    checksum,
    allows: (action) => request.principal.allows(action, resource),
  });
  if (isNotModified(request, row)) return emptyResponse(304, headers);
  if (slice.status === 206)
    headers.push('Content-Range', `bytes ${slice.start}-${slice.end - 1}/${row.size}`);
  if (slice.parts !== undefined) headers.push('x-amz-mp-parts-count', String(slice.parts));
  overrideHeaders(request, headers);
  const lengthBytes = slice.end - slice.start;
  const answer = { status: slice.status, headers, contentLengthBytes: lengthBytes };
  if (!withBody || lengthBytes === 0) return answer;
  if (lengthBytes <= INLINE_BYTES_MAX) {
    return { ...answer, body: Buffer.concat([...service.blobs.read(row.blob, slice.start, slice.end)]) };
  }
  return { ...answer, body: service.blobs.readPinned(row.blob, slice.start, slice.end) };
}

interface Slice {
  readonly status: 200 | 206;
  readonly start: number;
  readonly end: number;
  readonly parts?: number | undefined;
}

/** The bytes that `Range` or `partNumber` ask for. */
function sliceOf(request: S3Request, row: VersionRow): Slice {
  const whole: Slice = { status: 200, start: 0, end: row.size };
  const partNumber = request.query.get('partNumber');
  const range = header(request, 'range');
  if (partNumber !== undefined) {
    if (range !== undefined) {
      throw new S3Error('InvalidRequest', {
        message: 'Cannot specify both Range header and partNumber query parameter',
      });
    }
    const { parts } = readExtra(row);
    const number = Number(partNumber);
    if (!(number >= 1 && number <= (parts?.length ?? 1))) throw new S3Error('InvalidPartNumber');
    if (parts === undefined) return row.size === 0 ? whole : { ...whole, status: 206 };
    let start = 0;
    for (const part of parts.slice(0, number - 1)) start += part.size;
    const end = start + parts[number - 1]!.size;
    return { status: end === 0 ? 200 : 206, start, end, parts: parts.length };
  }
  const match = /^bytes=(\d*)-(\d*)$/.exec(range?.trim() ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return whole;
  const start = match[1] === '' ? Math.max(row.size - Number(match[2]), 0) : Number(match[1]);
  const end = match[1] === '' || match[2] === '' ? row.size : Math.min(Number(match[2]) + 1, row.size);
  if (start >= row.size || (match[1] === '' && Number(match[2]) === 0)) {
    throw new S3Error('InvalidRange', {
      details: { RangeRequested: range!, ActualObjectSize: String(row.size) },
      headers: ['Content-Range', `bytes */${row.size}`],
    });
  }
  return end <= start ? whole : { status: 206, start, end };
}

const OVERRIDES: readonly (readonly [string, string])[] = [
  ['response-content-type', 'Content-Type'],
  ['response-cache-control', 'Cache-Control'],
  ['response-content-disposition', 'Content-Disposition'],
  ['response-content-encoding', 'Content-Encoding'],
  ['response-content-language', 'Content-Language'],
  ['response-expires', 'Expires'],
];

function overrideHeaders(request: S3Request, headers: string[]): void {
  if (request.query.size === 0) return;
  for (const [parameter, name] of OVERRIDES) {
    const value = request.query.get(parameter);
    if (value === undefined) continue;
    const index = headers.indexOf(name);
    if (index === -1) headers.push(name, value);
    else headers[index + 1] = value;
  }
}

/** S3 wants a digest of the body where a lock is set. */
function checkLockIntegrity(request: S3Request, extra: Extra): void {
  if (extra.retention === undefined && extra.legalHold === undefined) return;
  if (header(request, 'content-md5') !== undefined || wantedChecksum(request) !== undefined) return;
  throw new S3Error('InvalidRequest', {
    message:
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
  });
}
