/** Finds the version of an object that a request names, with the errors S3 answers where there is none. */

import type { Bucket } from './buckets-table.ts';
import type { S3Request, Service } from './exchange.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';
import type { VersionRow } from './versions-table.ts';

export interface FoundVersion {
  readonly bucket: Bucket;
  readonly row: VersionRow;
  /** `bucket/key`, as permissions name it. */
  readonly resource: string;
}

/**
 * @param action needed for the current version
 * @param versionAction needed where the request names a version
 * @throws {S3Error} AccessDenied, NoSuchBucket, NoSuchKey, NoSuchVersion, MethodNotAllowed on a delete marker
 */
export function findVersion(
  service: Service,
  request: S3Request,
  action: string,
  versionAction: string,
): FoundVersion {
  const name = service.buckets.resolve(request.bucketName);
  const resource = `${name}/${request.key}`;
  const versionId = request.query.get('versionId');
  demand(request.principal, versionId === undefined ? action : versionAction, resource);
  const bucket = service.buckets.get(request.bucketName);
  const row = findRow(service, request, bucket, request.key, versionId);
  return { bucket, row, resource };
}

/**
 * The version of a key: the current one, or the one with this id.
 * Who may not list the bucket is not told that a key is missing.
 */
export function findRow(
  service: Service,
  request: S3Request,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
): VersionRow {
  const bytes = Buffer.from(key);
  const row =
    versionId === undefined
      ? service.versions.current(bucket, bytes)
      : service.versions.version(bucket, bytes, versionId);
  if (row !== undefined && row.marker === 0) return row;
  const headers: string[] = [];
  if (row !== undefined)
    headers.push('x-amz-delete-marker', 'true', 'x-amz-version-id', row.version ?? 'null');
  if (versionId !== undefined) {
    if (row !== undefined) throw new S3Error('MethodNotAllowed', { headers });
    throw new S3Error('NoSuchVersion', { details: { Key: key, VersionId: versionId } });
  }
  demand(request.principal, 's3:ListBucket', bucket.name);
  throw new S3Error('NoSuchKey', { details: { Key: key }, headers });
}
