/** CompleteMultipartUpload: checks the list of parts and makes the object of them. */

import { createHash } from 'node:crypto';
import { encryptionHeaders, etagIsMd5, readExtra, storeExtra } from './attributes.ts';
import { readDocument, wantedChecksum } from './body.ts';
import {
  type Checksum,
  type ChecksumAlgorithm,
  checksumAlgorithmOf,
  checksumElements,
  checksumHasher,
} from './checksums.ts';
import { checkTarget } from './conditions.ts';
import { type Operation, type S3Request, type Service, XML_NAMESPACE, xmlResponse } from './exchange.ts';
import { findUpload } from './multipart.ts';
import { randomEtag } from './objects.ts';
import { S3Error } from './s3-error.ts';
import type { PartRow, UploadRow } from './uploads-table.ts';
import { xmlElements, xmlEscape, xmlText } from './xml.ts';

export const completeMultipartUpload: Operation = async (service, request) => {
  const document = await readDocument(request, { checksum: false });
  const { bucket, upload } = findUpload(service, request, 's3:PutObject');
  const key = Buffer.from(request.key);
  const current = service.versions.current(bucket, key);
  if (service.support.conditionalPut) checkTarget(request, current);
  const parts = readParts(service, upload, document);
  const blob = service.blobs.compose(
    parts.map((part) => ({ blob: part.blob, start: 0, length: part.size })),
    null,
  );
  const checksum = wholeChecksum(service, request, upload, parts, blob);
  const extra = readExtra(upload);
  if (checksum !== undefined) extra.checksum = checksum;
  extra.parts = parts.map(({ size, checksum: value }) =>
    value === null ? { size } : { size, checksum: value },
  );
  const etag = `${etagIsMd5(service, extra) ? md5OfMd5s(parts) : randomEtag()}-${parts.length}`;
  const version = service.versions.put(
    bucket,
    key,
    {
      blob,
      size: parts.reduce((sum, part) => sum + part.size, 0),
      etag,
      modified: service.now(),
      class: upload.class,
      headers: upload.headers,
      tags: upload.tags,
      extra: storeExtra(extra),
    },
    current,
  );
  service.uploads.remove(upload.id);
  return xmlResponse(
    `<CompleteMultipartUploadResult${XML_NAMESPACE}><Location>/${xmlEscape(`${request.bucketName}/${request.key}`)}</Location><Bucket>${xmlEscape(request.bucketName)}</Bucket><Key>${xmlEscape(request.key)}</Key><ETag>&quot;${etag}&quot;</ETag>${checksumElements(checksum)}</CompleteMultipartUploadResult>`,
    [...(version === null ? [] : ['x-amz-version-id', version]), ...encryptionHeaders(extra)],
  );
};

/** @throws {S3Error} MalformedXML, InvalidPartOrder, InvalidPart, EntityTooSmall */
function readParts(service: Service, upload: UploadRow, document: string): PartRow[] {
  const named = xmlElements(document, 'Part');
  if (named.length === 0) throw new S3Error('MalformedXML');
  const parts: PartRow[] = [];
  for (const [index, xml] of named.entries()) {
    const number = Number(xmlText(xml, 'PartNumber'));
    const etag = (xmlText(xml, 'ETag') ?? '').trim().replace(/^"|"$/g, '');
    if (number <= (parts.at(-1)?.number ?? 0)) throw new S3Error('InvalidPartOrder');
    const part = service.uploads.part(upload.id, number);
    const checksum = upload.algorithm === null ? undefined : xmlText(xml, `Checksum${upload.algorithm}`);
    if (part === undefined || part.etag !== etag || (checksum !== undefined && checksum !== part.checksum)) {
      throw new S3Error('InvalidPart', {
        details: { UploadId: upload.id, PartNumber: String(number), ETag: etag },
      });
    }
    if (part.size < service.partBytesMin && index < named.length - 1) {
      throw new S3Error('EntityTooSmall', {
        details: {
          ProposedSize: String(part.size),
          MinSizeAllowed: String(service.partBytesMin),
          PartNumber: String(number),
          ETag: etag,
        },
      });
    }
    parts.push(part);
  }
  return parts;
}

function md5OfMd5s(parts: readonly PartRow[]): string {
  const hash = createHash('md5');
  for (const part of parts) hash.update(Buffer.from(part.etag, 'hex'));
  return hash.digest('hex');
}

/** @throws {S3Error} BadDigest where the request brings another checksum */
function wholeChecksum(
  service: Service,
  request: S3Request,
  upload: UploadRow,
  parts: readonly PartRow[],
  blob: number,
): Checksum | undefined {
  const algorithm = checksumAlgorithmOf(upload.algorithm ?? undefined);
  if (algorithm === undefined) return undefined;
  const composite = upload.type !== 'FULL_OBJECT';
  const value = composite ? compositeValue(algorithm, parts) : fullValue(service, algorithm, blob);
  const given = wantedChecksum(request)?.value;
  if (given !== undefined && given !== value && given !== value.replace(/-\d+$/, '')) {
    service.blobs.discard(blob);
    throw new S3Error('BadDigest', {
      message: `The ${algorithm} you specified did not match the calculated checksum.`,
    });
  }
  return { algorithm, value, type: composite ? 'COMPOSITE' : 'FULL_OBJECT' };
}

/** The checksum of the parts' checksums, with the number of parts. */
function compositeValue(algorithm: ChecksumAlgorithm, parts: readonly PartRow[]): string {
  const hasher = checksumHasher(algorithm);
  for (const part of parts) hasher.update(Buffer.from(part.checksum ?? '', 'base64'));
  return `${hasher.digest().toString('base64')}-${parts.length}`;
}

function fullValue(service: Service, algorithm: ChecksumAlgorithm, blob: number): string {
  const hasher = checksumHasher(algorithm);
  for (const bytes of service.blobs.read(blob)) hasher.update(bytes);
  return hasher.digest().toString('base64');
}
