/** The source of CopyObject and UploadPartCopy: read from its header, found, and its conditions checked. */

import type { Bucket } from './buckets-table.ts';
import { checkSource } from './conditions.ts';
import { header, type S3Request, type Service } from './exchange.ts';
import { findRow } from './find-version.ts';
import { checkReadable } from './objects.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';
import type { VersionRow } from './versions-table.ts';

export interface CopySource {
  readonly bucket: Bucket;
  readonly key: string;
  readonly versionId: string | undefined;
  readonly row: VersionRow;
  /** `bucket/key`, as permissions name it. */
  readonly resource: string;
}

/**
 * @throws {S3Error} InvalidArgument, AccessDenied, NoSuchBucket, NoSuchKey, NoSuchVersion, PreconditionFailed,
 *   InvalidObjectState
 */
export function findCopySource(service: Service, request: S3Request): CopySource {
  const { bucketName, key, versionId } = parseCopySource(header(request, 'x-amz-copy-source') ?? '');
  const resource = `${service.buckets.resolve(bucketName)}/${key}`;
  demand(request.principal, versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion', resource);
  const bucket = service.buckets.get(bucketName);
  const row = findRow(service, request, bucket, key, versionId);
  if (service.support.conditionalCopySource) checkSource(request, row);
  checkReadable(row);
  return { bucket, key, versionId, row, resource };
}

/** `/bucket/key?versionId=id`, percent-encoded; S3 decodes it as a form value, so that a bare `+` is a space. */
function parseCopySource(value: string): { bucketName: string; key: string; versionId: string | undefined } {
  const mark = value.lastIndexOf('?versionId=');
  const path = decode(mark === -1 ? value : value.slice(0, mark)).replace(/^\//, '');
  const slash = path.indexOf('/');
  if (slash <= 0 || slash === path.length - 1) throw invalidSource();
  return {
    bucketName: path.slice(0, slash),
    key: path.slice(slash + 1),
    versionId: mark === -1 ? undefined : decode(value.slice(mark + '?versionId='.length)),
  };
}

function decode(text: string): string {
  const raw = /[\u0080-\u00ff]/.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text;
  try {
    return decodeURIComponent(raw.replace(/\+/g, ' '));
  } catch {
    throw invalidSource();
  }
}

function invalidSource(): S3Error {
  return new S3Error('InvalidArgument', {
    message: 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey',
    details: { ArgumentName: 'x-amz-copy-source' },
  });
}
