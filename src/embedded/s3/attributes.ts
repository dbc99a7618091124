/** What is kept beside an object's bytes: how it is read from request headers, stored as JSON, and answered. */

import type { Bucket } from './buckets-table.ts';
import { type Checksum, checksumHeader } from './checksums.ts';
import { header, httpTime, type S3Request, type Service } from './exchange.ts';
import { cannedAcl } from './grants.ts';
import { readLock } from './locks.ts';
import { demand } from './permissions.ts';
import { S3Error } from './s3-error.ts';
import type { VersionRow } from './versions-table.ts';

const METADATA_BYTES_MAX = 2048;
const TAGS_MAX = 10;
const DEFAULT_KMS_KEY = 'arn:aws:kms:us-east-1:000000000000:key/aws-s3';
const STORED_HEADERS: readonly (readonly [string, string])[] = [
  ['content-type', 'Content-Type'],
  ['cache-control', 'Cache-Control'],
  ['content-disposition', 'Content-Disposition'],
  ['content-encoding', 'Content-Encoding'],
  ['content-language', 'Content-Language'],
  ['expires', 'Expires'],
];
const STORAGE_CLASSES = new Set([
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
  'EXPRESS_ONEZONE',
]);

/** What is kept of an object and not copied with its headers. */
export interface Extra {
  redirect?: string;
  encryption?: { algorithm: string; kmsKeyId?: string; bucketKey?: boolean };
  checksum?: Checksum;
  /** Of a multipart object: bytes and checksum of each part. */
  parts?: { size: number; checksum?: string }[];
  /** The grants, as XML. */
  acl?: string;
  retention?: { mode: string; until: string };
  legalHold?: 'ON' | 'OFF';
  /** As `x-amz-restore` answers it. */
  restore?: string;
}

export function readExtra(row: { readonly extra: string | null }): Extra {
  return row.extra === null ? {} : (JSON.parse(row.extra) as Extra);
}

export function storeExtra(extra: Extra): string | null {
  const json = JSON.stringify(extra);
  return json === '{}' ? null : json;
}

/** Content headers and user metadata as a JSON array of name and value in turn, ready to be answered. */
export function readHeaders(request: S3Request): string {
  const stored: string[] = [];
  for (const [name, answered] of STORED_HEADERS) {
    let value = header(request, name);
    if (name === 'content-encoding' && value !== undefined) {
      value = value
        .split(',')
        .map((coding) => coding.trim())
        .filter((coding) => coding !== 'aws-chunked' && coding !== '')
        .join(',');
      if (value === '') value = undefined;
    }
    if (value !== undefined) stored.push(answered, value);
  }
  if (stored[0] !== 'Content-Type') stored.unshift('Content-Type', 'binary/octet-stream');
  let metadataBytes = 0;
  for (const name in request.headers) {
    if (!name.startsWith('x-amz-meta-')) continue;
    const value = header(request, name) ?? '';
    metadataBytes += name.length - 'x-amz-meta-'.length + value.length;
    stored.push(name, value);
  }
  if (metadataBytes > METADATA_BYTES_MAX) {
    throw new S3Error('MetadataTooLarge', { details: { MaxSizeAllowed: String(METADATA_BYTES_MAX) } });
  }
  return JSON.stringify(stored);
}

/** The `x-amz-tagging` header as JSON; null where there are no tags. */
export function readTaggingHeader(service: Service, request: S3Request, resource: string): string | null {
  const given = header(request, 'x-amz-tagging');
  if (given === undefined || given === '') return null;
  if (!service.support.tags) throw new S3Error('NotImplemented');
  demand(request.principal, 's3:PutObjectTagging', resource);
  let tags: string[];
  try {
    tags = given.split('&').flatMap((pair) => {
      const equals = pair.indexOf('=');
      const both = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
      return both.map((text) => decodeURIComponent(text.replace(/\+/g, ' ')));
    });
  } catch {
    throw new S3Error('InvalidArgument', {
      message: "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded",
    });
  }
  return storeTags(tags);
}

/** Tags, key and value in turn, as JSON; null where there are none. */
export function storeTags(tags: readonly string[]): string | null {
  const keys = new Set<string>();
  for (let index = 0; index < tags.length; index += 2) {
    const key = tags[index]!;
    if (key === '' || key.length > 128)
      throw new S3Error('InvalidTag', { message: 'The TagKey you have provided is invalid' });
    if (tags[index + 1]!.length > 256)
      throw new S3Error('InvalidTag', { message: 'The TagValue you have provided is invalid' });
    if (keys.has(key))
      throw new S3Error('InvalidTag', { message: 'Cannot provide multiple Tags with the same key' });
    keys.add(key);
  }
  if (keys.size > TAGS_MAX)
    throw new S3Error('BadRequest', { message: 'Object tags cannot be greater than 10' });
  return keys.size === 0 ? null : JSON.stringify(tags);
}

/** @throws {S3Error} InvalidStorageClass */
export function readStorageClass(request: S3Request): string {
  const given = header(request, 'x-amz-storage-class') ?? 'STANDARD';
  if (!STORAGE_CLASSES.has(given)) throw new S3Error('InvalidStorageClass');
  return given;
}

/** Redirect, encryption, ACL and lock of a new object, from the request and the bucket's defaults. */
export function readExtraHeaders(
  service: Service,
  request: S3Request,
  bucket: Bucket,
  resource: string,
): Extra {
  const extra: Extra = {};
  const redirect = header(request, 'x-amz-website-redirect-location');
  if (redirect !== undefined) extra.redirect = redirect;
  const encryption = readEncryption(service, request, bucket);
  if (encryption !== undefined) extra.encryption = encryption;
  const acl = cannedAcl(service, request);
  if (acl !== undefined) {
    demand(request.principal, 's3:PutObjectAcl', resource);
    extra.acl = acl;
  }
  readLock(service, request, bucket, resource, extra);
  return extra;
}

/** Whether objects with these settings have an ETag that is the MD5 of their bytes. */
export function etagIsMd5(service: Service, extra: Extra): boolean {
  return service.etag === 'md5' && !extra.encryption?.algorithm.startsWith('aws:kms');
}

/** The attributes as HEAD and GET answer them. */
export function attributeHeaders(
  service: Service,
  row: VersionRow,
  options: { checksum: boolean; allows: (action: string) => boolean },
): string[] {
  const headers = JSON.parse(row.headers) as string[];
  headers.push('ETag', `"${row.etag}"`, 'Last-Modified', httpTime(row.modified), 'Accept-Ranges', 'bytes');
  if (row.version !== null) headers.push('x-amz-version-id', row.version);
  if (row.class !== 'STANDARD') headers.push('x-amz-storage-class', row.class);
  if (row.tags !== null && service.support.tags && options.allows('s3:GetObjectTagging')) {
    headers.push('x-amz-tagging-count', String((JSON.parse(row.tags) as string[]).length / 2));
  }
  if (row.extra === null) return headers;
  const extra = readExtra(row);
  headers.push(...encryptionHeaders(extra));
  if (extra.redirect !== undefined) headers.push('x-amz-website-redirect-location', extra.redirect);
  if (extra.restore !== undefined) headers.push('x-amz-restore', extra.restore);
  if (extra.retention !== undefined && options.allows('s3:GetObjectRetention')) {
    headers.push('x-amz-object-lock-mode', extra.retention.mode);
    headers.push('x-amz-object-lock-retain-until-date', extra.retention.until);
  }
  if (extra.legalHold !== undefined && options.allows('s3:GetObjectLegalHold'))
    headers.push('x-amz-object-lock-legal-hold', extra.legalHold);
  if (options.checksum && extra.checksum !== undefined) {
    headers.push(checksumHeader(extra.checksum.algorithm), extra.checksum.value);
    headers.push('x-amz-checksum-type', extra.checksum.type);
  }
  return headers;
}

export function encryptionHeaders(extra: Extra): string[] {
  if (extra.encryption === undefined) return [];
  const { algorithm, kmsKeyId, bucketKey } = extra.encryption;
  const headers = ['x-amz-server-side-encryption', algorithm];
  if (kmsKeyId !== undefined) headers.push('x-amz-server-side-encryption-aws-kms-key-id', kmsKeyId);
  if (bucketKey === true) headers.push('x-amz-server-side-encryption-bucket-key-enabled', 'true');
  return headers;
}

function readEncryption(service: Service, request: S3Request, bucket: Bucket): Extra['encryption'] {
  if (header(request, 'x-amz-server-side-encryption-customer-algorithm') !== undefined) {
    throw new S3Error('NotImplemented');
  }
  const algorithm = header(request, 'x-amz-server-side-encryption');
  if (algorithm === undefined) {
    return (
      bucket.config.encryption ??
      (service.kms ? { algorithm: 'aws:kms', kmsKeyId: DEFAULT_KMS_KEY } : undefined)
    );
  }
  if (algorithm === 'AES256') return { algorithm };
  if (algorithm !== 'aws:kms' && algorithm !== 'aws:kms:dsse') {
    throw new S3Error('InvalidArgument', { message: 'The encryption method specified is not supported' });
  }
  const kmsKeyId = header(request, 'x-amz-server-side-encryption-aws-kms-key-id') ?? DEFAULT_KMS_KEY;
  const bucketKey = header(request, 'x-amz-server-side-encryption-bucket-key-enabled') === 'true';
  return bucketKey ? { algorithm, kmsKeyId, bucketKey } : { algorithm, kmsKeyId };
}
