/** Multipart uploads: created, listed, aborted. Parts are in `parts.ts`, completion in `complete.ts`. */

import {
  encryptionHeaders,
  readExtraHeaders,
  readHeaders,
  readStorageClass,
  readTaggingHeader,
  storeExtra,
} from './attributes.ts';
import type { Bucket } from './buckets-table.ts';
import { checksumAlgorithmOf } from './checksums.ts';
import {
  emptyResponse,
  header,
  isoTime,
  type Operation,
  type S3Request,
  type Service,
  XML_NAMESPACE,
  xmlResponse,
} from './exchange.ts';
import { OWNER } from './grants.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';
import type { UploadRow } from './uploads-table.ts';
import { urlEncodeKey, xmlEscape } from './xml.ts';

const PAGE_MAX = 1_000;
const OWNERS = `<Initiator>${OWNER}</Initiator><Owner>${OWNER}</Owner>`;

export const createMultipartUpload: Operation = (service, request) => {
  const resource = `${service.buckets.resolve(request.bucketName)}/${request.key}`;
  demand(request.principal, 's3:PutObject', resource);
  const bucket = service.buckets.get(request.bucketName);
  const given = service.support.checksums ? header(request, 'x-amz-checksum-algorithm') : undefined;
  const algorithm = checksumAlgorithmOf(given);
  if (given !== undefined && algorithm === undefined) throw new S3Error('InvalidRequest');
  const type =
    header(request, 'x-amz-checksum-type') ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
  const extra = readExtraHeaders(service, request, bucket, resource);
  const id = service.uploads.add(bucket, {
    key: Buffer.from(request.key),
    started: service.now(),
    class: readStorageClass(request),
    headers: readHeaders(request),
    tags: readTaggingHeader(service, request, resource),
    extra: storeExtra(extra),
    algorithm: algorithm ?? null,
    type: algorithm === undefined ? null : type,
  });
  const headers = encryptionHeaders(extra);
  if (algorithm !== undefined) {
    headers.push('x-amz-checksum-algorithm', algorithm, 'x-amz-checksum-type', type);
  }
  return xmlResponse(
    `<InitiateMultipartUploadResult${XML_NAMESPACE}><Bucket>${xmlEscape(request.bucketName)}</Bucket><Key>${xmlEscape(request.key)}</Key><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    headers,
  );
};

export const abortMultipartUpload: Operation = (service, request) => {
  const { upload } = findUpload(service, request, 's3:AbortMultipartUpload');
  service.uploads.remove(upload.id);
  return emptyResponse(204);
};

export const listParts: Operation = (service, request) => {
  const { upload } = findUpload(service, request, 's3:ListMultipartUploadParts');
  const after = Number(request.query.get('part-number-marker') ?? 0);
  const limit = Math.min(Number(request.query.get('max-parts') ?? PAGE_MAX), PAGE_MAX);
  const rows = service.uploads.parts(upload.id, after, limit + 1);
  const page = rows.slice(0, limit);
  let xml = `<ListPartsResult${XML_NAMESPACE}><Bucket>${xmlEscape(request.bucketName)}</Bucket><Key>${xmlEscape(request.key)}</Key><UploadId>${upload.id}</UploadId>${OWNERS}<StorageClass>${upload.class}</StorageClass><PartNumberMarker>${after}</PartNumberMarker><NextPartNumberMarker>${page.at(-1)?.number ?? 0}</NextPartNumberMarker><MaxParts>${limit}</MaxParts><IsTruncated>${rows.length > limit}</IsTruncated>`;
  if (upload.algorithm !== null) {
    xml += `<ChecksumAlgorithm>${upload.algorithm}</ChecksumAlgorithm><ChecksumType>${upload.type}</ChecksumType>`;
  }
  for (const part of page) {
    const checksum =
      part.checksum === null
        ? ''
        : `<Checksum${upload.algorithm}>${part.checksum}</Checksum${upload.algorithm}>`;
    xml += `<Part><PartNumber>${part.number}</PartNumber><LastModified>${isoTime(part.modified)}</LastModified><ETag>&quot;${part.etag}&quot;</ETag><Size>${part.size}</Size>${checksum}</Part>`;
  }
  return xmlResponse(`${xml}</ListPartsResult>`);
};

/** Without rolling up at a delimiter. */
export const listMultipartUploads: Operation = (service, request) => {
  demand(request.principal, 's3:ListBucketMultipartUploads', service.buckets.resolve(request.bucketName));
  const bucket = service.buckets.get(request.bucketName);
  const { query } = request;
  const prefix = query.get('prefix') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  // Without an upload to go on from, all uploads of the marked key have been listed: `~` sorts after every id.
  const idMarker = query.get('upload-id-marker') ?? (keyMarker === '' ? '' : '~');
  const limit = Math.min(Number(query.get('max-uploads') ?? PAGE_MAX), PAGE_MAX);
  const urlEncoding = service.support.urlEncoding && query.get('encoding-type') === 'url';
  const encode = urlEncoding ? (key: string) => xmlEscape(urlEncodeKey(key)) : xmlEscape;
  const below = Buffer.compare(Buffer.from(keyMarker), Buffer.from(prefix)) < 0;
  const rows = service.uploads
    .list(bucket, Buffer.from(below ? prefix : keyMarker), below ? '' : idMarker, limit + 1)
    .map((row) => ({ ...row, text: Buffer.from(row.key).toString('utf8') }))
    .filter((row) => row.text.startsWith(prefix));
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  let xml = `<ListMultipartUploadsResult${XML_NAMESPACE}><Bucket>${xmlEscape(request.bucketName)}</Bucket><KeyMarker>${encode(keyMarker)}</KeyMarker><UploadIdMarker>${xmlEscape(query.get('upload-id-marker') ?? '')}</UploadIdMarker><Prefix>${encode(prefix)}</Prefix><MaxUploads>${limit}</MaxUploads><IsTruncated>${rows.length > limit}</IsTruncated>`;
  if (urlEncoding) xml += '<EncodingType>url</EncodingType>';
  if (rows.length > limit && last !== undefined) {
    xml += `<NextKeyMarker>${encode(last.text)}</NextKeyMarker><NextUploadIdMarker>${last.id}</NextUploadIdMarker>`;
  }
  for (const row of page) {
    xml += `<Upload><Key>${encode(row.text)}</Key><UploadId>${row.id}</UploadId>${OWNERS}<StorageClass>${row.class}</StorageClass><Initiated>${isoTime(row.started)}</Initiated></Upload>`;
  }
  return xmlResponse(`${xml}</ListMultipartUploadsResult>`);
};

/** @throws {S3Error} AccessDenied, NoSuchBucket, NoSuchUpload */
export function findUpload(
  service: Service,
  request: S3Request,
  action: string,
): { bucket: Bucket; upload: UploadRow } {
  demand(request.principal, action, `${service.buckets.resolve(request.bucketName)}/${request.key}`);
  const bucket = service.buckets.get(request.bucketName);
  const id = request.query.get('uploadId') ?? '';
  const upload = service.uploads.find(bucket, Buffer.from(request.key), id);
  if (upload === undefined) throw new S3Error('NoSuchUpload', { details: { UploadId: id } });
  return { bucket, upload };
}
