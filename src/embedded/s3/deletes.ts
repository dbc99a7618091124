/** DeleteObject and DeleteObjects, conditional or not, of the current object or of one version. */

import { readDocument, wantedChecksum } from './body.ts';
import type { Bucket } from './buckets-table.ts';
import { etagMatches } from './conditions.ts';
import {
  emptyResponse,
  header,
  type Operation,
  type S3Request,
  type Service,
  XML_NAMESPACE,
  xmlResponse,
} from './exchange.ts';
import { checkUnlocked } from './locks.ts';
import { demand } from './permissions.ts';
import { preconditionFailed, S3Error } from './s3-error.ts';
import { xmlElements, xmlEscape, xmlText } from './xml.ts';

const KEYS_MAX = 1_000;

interface Target {
  readonly key: string;
  readonly versionId: string | undefined;
  /** Delete only the object with this ETag; `*` wants any object. */
  readonly etag: string | undefined;
}

interface Deleted {
  /** The version deleted, where the request named it. */
  readonly versionId?: string | undefined;
  /** Whether a marker was left, or was what was deleted. */
  readonly marker: boolean;
  readonly markerVersionId?: string | undefined;
}

export const deleteObject: Operation = (service, request) => {
  const honoured = service.support.conditionalDelete !== false;
  const deleted = deleteOne(service, request, service.buckets.find(request.bucketName), {
    key: request.key,
    versionId: request.query.get('versionId'),
    etag: honoured ? header(request, 'if-match') : undefined,
  });
  const headers: string[] = [];
  if (deleted.marker) headers.push('x-amz-delete-marker', 'true');
  const id = deleted.versionId ?? deleted.markerVersionId;
  if (id !== undefined) headers.push('x-amz-version-id', id);
  return emptyResponse(204, headers);
};

/** Each key has an outcome of its own. A missing key counts as deleted, unless an ETag was asked for: NoSuchKey. */
export const deleteObjects: Operation = async (service, request) => {
  const document = await readDocument(request);
  const digested = header(request, 'content-md5') !== undefined || wantedChecksum(request) !== undefined;
  if (!digested) throw new S3Error('MissingContentMD5');
  const bucket = service.buckets.find(request.bucketName);
  if (bucket === undefined) service.buckets.get(request.bucketName);
  const objects = xmlElements(document, 'Object');
  if (objects.length === 0 || objects.length > KEYS_MAX) throw new S3Error('MalformedXML');
  const quiet = xmlText(document, 'Quiet') === 'true';
  const conditional = service.support.conditionalDelete === true;
  let xml = `<DeleteResult${XML_NAMESPACE}>`;
  for (const object of objects) {
    const key = xmlText(object, 'Key');
    if (key === undefined) throw new S3Error('MalformedXML');
    const versionId = xmlText(object, 'VersionId');
    const etag = conditional ? xmlText(object, 'ETag')?.trim() : undefined;
    const named = `<Key>${xmlEscape(key)}</Key>${versionId === undefined ? '' : `<VersionId>${xmlEscape(versionId)}</VersionId>`}`;
    try {
      const { marker, markerVersionId } = deleteOne(service, request, bucket, { key, versionId, etag });
      if (quiet) continue;
      xml += `<Deleted>${named}`;
      if (marker) xml += '<DeleteMarker>true</DeleteMarker>';
      if (markerVersionId !== undefined)
        xml += `<DeleteMarkerVersionId>${markerVersionId}</DeleteMarkerVersionId>`;
      xml += '</Deleted>';
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      xml += `<Error>${named}<Code>${error.code}</Code><Message>${xmlEscape(error.message)}</Message></Error>`;
    }
  }
  return xmlResponse(`${xml}</DeleteResult>`);
};

function deleteOne(
  service: Service,
  request: S3Request,
  bucket: Bucket | undefined,
  target: Target,
): Deleted {
  const resource = `${bucket?.name ?? request.bucketName}/${target.key}`;
  const { principal } = request;
  demand(principal, target.versionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion', resource);
  if (target.etag !== undefined && target.etag !== '*') demand(principal, 's3:GetObject', resource);
  if (bucket === undefined)
    throw new S3Error('NoSuchBucket', { details: { BucketName: request.bucketName } });
  const key = Buffer.from(target.key);
  if (target.versionId !== undefined)
    return deleteVersion(service, request, bucket, target, target.versionId);
  const current = service.versions.current(bucket, key);
  if (target.etag !== undefined) {
    if (current === undefined || current.marker === 1) {
      throw new S3Error('NoSuchKey', { details: { Key: target.key } });
    }
    if (!etagMatches(target.etag, current.etag)) throw preconditionFailed('If-Match');
  }
  const markerVersionId = service.versions.delete(bucket, key, current, service.now());
  return { marker: markerVersionId !== undefined, markerVersionId };
}

function deleteVersion(
  service: Service,
  request: S3Request,
  bucket: Bucket,
  target: Target,
  versionId: string,
): Deleted {
  const row = service.versions.version(bucket, Buffer.from(target.key), versionId);
  if (row === undefined) return { versionId, marker: false };
  if (target.etag !== undefined && !etagMatches(target.etag, row.etag)) throw preconditionFailed('If-Match');
  checkUnlocked(service, request, row, `${bucket.name}/${target.key}`);
  service.versions.deleteVersion(bucket, row);
  return row.marker === 1
    ? { versionId, marker: true, markerVersionId: versionId }
    : { versionId, marker: false };
}
