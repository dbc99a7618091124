/** CopyObject: the bytes are shared, only the row of the new object is written. */

import {
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
import type { Bucket } from './buckets-table.ts';
import { type Checksum, checksumAlgorithmOf, checksumElements, checksumHasher } from './checksums.ts';
import { checkTarget } from './conditions.ts';
import { type CopySource, findCopySource } from './copy-source.ts';
import {
  header,
  isoTime,
  type Operation,
  type S3Request,
  type Service,
  XML_NAMESPACE,
  xmlResponse,
} from './exchange.ts';
import { randomEtag } from './objects.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';

export const copyObject: Operation = (service, request) => {
  if (!service.support.serverSideCopy) throw new S3Error('NotImplemented');
  const resource = `${service.buckets.resolve(request.bucketName)}/${request.key}`;
  demand(request.principal, 's3:PutObject', resource);
  const bucket = service.buckets.get(request.bucketName);
  const source = findCopySource(service, request);
  const { row } = source;
  if (row.size > service.copyBytesMax) {
    throw new S3Error('InvalidRequest', {
      message: `The specified copy source is larger than the maximum allowable size for a copy source: ${service.copyBytesMax}`,
    });
  }
  const key = Buffer.from(request.key);
  const current = service.versions.current(bucket, key);
  if (service.support.conditionalCopy) checkTarget(request, current);
  const replaceMetadata = isReplace(request, 'x-amz-metadata-directive');
  const headers = replaceMetadata ? readHeaders(request) : row.headers;
  const tags = copiedTags(service, request, source, resource);
  const extra = readExtraHeaders(service, request, bucket, resource);
  const storageClass = readStorageClass(request);
  if (!replaceMetadata) checkChangesSomething(request, bucket, source, storageClass);
  const checksum = copiedChecksum(service, request, source);
  if (checksum !== undefined) extra.checksum = checksum;
  const etag = etagIsMd5(service, extra) ? service.blobs.md5(row.blob).toString('hex') : randomEtag();
  const modified = service.now();
  const version = service.versions.put(
    bucket,
    key,
    {
      blob: row.blob,
      size: row.size,
      etag,
      modified,
      class: storageClass,
      headers,
      tags,
      extra: storeExtra(extra),
    },
    current,
  );
  return xmlResponse(
    `<CopyObjectResult${XML_NAMESPACE}><LastModified>${isoTime(modified)}</LastModified><ETag>&quot;${etag}&quot;</ETag>${checksumElements(checksum)}</CopyObjectResult>`,
    [
      ...(version === null ? [] : ['x-amz-version-id', version]),
      ...(row.version === null ? [] : ['x-amz-copy-source-version-id', row.version]),
      ...encryptionHeaders(extra),
    ],
  );
};

function isReplace(request: S3Request, name: string): boolean {
  const directive = header(request, name) ?? 'COPY';
  if (directive !== 'COPY' && directive !== 'REPLACE') {
    throw new S3Error('InvalidArgument', {
      message: `Unknown directive: ${directive}`,
      details: { ArgumentName: name },
    });
  }
  return directive === 'REPLACE';
}

/** Tags are read and written with permissions of their own, needed only where there are tags. */
function copiedTags(
  service: Service,
  request: S3Request,
  source: CopySource,
  resource: string,
): string | null {
  if (!service.support.tags) return null;
  if (isReplace(request, 'x-amz-tagging-directive')) return readTaggingHeader(service, request, resource);
  const { tags } = source.row;
  if (tags === null) return null;
  const read = source.versionId === undefined ? 's3:GetObjectTagging' : 's3:GetObjectVersionTagging';
  demand(request.principal, read, source.resource);
  demand(request.principal, 's3:PutObjectTagging', resource);
  return tags;
}

/** @throws {S3Error} InvalidRequest where an object is copied onto itself as it is */
function checkChangesSomething(
  request: S3Request,
  bucket: Bucket,
  source: CopySource,
  storageClass: string,
): void {
  if (source.bucket !== bucket || source.key !== request.key || source.versionId !== undefined) return;
  if (storageClass !== source.row.class) return;
  if (header(request, 'x-amz-website-redirect-location') !== undefined) return;
  if (header(request, 'x-amz-server-side-encryption') !== undefined) return;
  throw new S3Error('InvalidRequest', {
    message:
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  });
}

/** The source's checksum; computed anew where another algorithm is asked for, or where it depends on parts. */
function copiedChecksum(service: Service, request: S3Request, source: CopySource): Checksum | undefined {
  if (!service.support.checksums) return undefined;
  const given = header(request, 'x-amz-checksum-algorithm');
  const asked = checksumAlgorithmOf(given);
  if (given !== undefined && asked === undefined) throw new S3Error('InvalidRequest');
  if (source.row.extra === null && asked === undefined) return undefined;
  const kept: Extra['checksum'] = readExtra(source.row).checksum;
  const algorithm = asked ?? kept?.algorithm;
  if (algorithm === undefined) return undefined;
  if (kept?.algorithm === algorithm && kept.type === 'FULL_OBJECT') return kept;
  const hasher = checksumHasher(algorithm);
  for (const bytes of service.blobs.read(source.row.blob)) hasher.update(bytes);
  return { algorithm, value: hasher.digest().toString('base64'), type: 'FULL_OBJECT' };
}
