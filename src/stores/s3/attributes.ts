/** Object attributes between HTTP headers and plain data. */

import type { ObjectAttributes, ObjectHead, StoredChecksum } from '../object-store.ts';
import type { ResponseHeaders } from './wire.ts';
import { bareEtag } from './xml.ts';

/** What a HEAD or GET answered. */
export function headOf(key: string, headers: ResponseHeaders): ObjectHead {
  const metadata: Record<string, string> = {};
  const plain: Record<string, string> = {};
  for (const [name, value] of headers.entries()) {
    if (name.startsWith(METADATA)) metadata[name.slice(METADATA.length)] = value;
    else plain[name] = value;
  }
  const attributes: Record<string, string> = {};
  for (const [field, name] of ATTRIBUTE_HEADERS) {
    const value = plain[name];
    if (value !== undefined) attributes[field] = value;
  }
  const total = /\/(\d+)$/.exec(plain['content-range'] ?? '')?.[1];
  const composite = plain['x-amz-checksum-type'] === 'COMPOSITE';
  const checksums: StoredChecksum[] = [];
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = plain[`x-amz-checksum-${algorithm.toLowerCase()}`];
    if (value !== undefined) {
      checksums.push({ algorithm, value, composite: composite || /-\d+$/.test(value) });
    }
  }
  const lockMode = plain['x-amz-object-lock-mode'];
  return {
    key,
    sizeBytes: Number(total ?? plain['content-length'] ?? 0),
    etag: bareEtag(plain['etag'] ?? ''),
    lastModifiedMs: Date.parse(plain['last-modified'] ?? ''),
    attributes: { ...attributes, metadata } as ObjectAttributes,
    checksums,
    ...optional('versionId', plain['x-amz-version-id']),
    ...optional('tagCount', numberOf(plain['x-amz-tagging-count'])),
    ...optional('partsCount', numberOf(plain['x-amz-mp-parts-count'])),
    ...(lockMode === undefined
      ? {}
      : {
          lock: { mode: lockMode, untilMs: Date.parse(plain['x-amz-object-lock-retain-until-date'] ?? '') },
        }),
  };
}

/** The headers that give an object these attributes on a put, a multipart upload or a replacing copy. */
export function attributeHeaders(attributes: ObjectAttributes): [string, string][] {
  const headers: [string, string][] = [];
  for (const [field, name] of ATTRIBUTE_HEADERS) {
    const value = attributes[field];
    if (value === undefined) continue;
    if (field === 'storageClass' && value === 'STANDARD') continue;
    // S3 applies AES256 by itself; asked for by name, some stores without encryption refuse.
    if (field === 'encryption' && value === 'AES256') continue;
    headers.push([name, value]);
  }
  for (const [name, value] of Object.entries(attributes.metadata)) headers.push([METADATA + name, value]);
  return headers;
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, V>);
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

const METADATA = 'x-amz-meta-';
export const CHECKSUM_ALGORITHMS = ['CRC64NVME', 'SHA256', 'SHA1', 'CRC32C', 'CRC32'] as const;
const ATTRIBUTE_HEADERS = [
  ['contentType', 'content-type'],
  ['cacheControl', 'cache-control'],
  ['contentDisposition', 'content-disposition'],
  ['contentEncoding', 'content-encoding'],
  ['contentLanguage', 'content-language'],
  ['expires', 'expires'],
  ['websiteRedirectLocation', 'x-amz-website-redirect-location'],
  ['storageClass', 'x-amz-storage-class'],
  ['encryption', 'x-amz-server-side-encryption'],
  ['kmsKeyId', 'x-amz-server-side-encryption-aws-kms-key-id'],
] as const satisfies readonly (readonly [keyof ObjectAttributes, string])[];
