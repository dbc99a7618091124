/** UploadPart and UploadPartCopy. */

import { createHash } from 'node:crypto';
import { encryptionHeaders, etagIsMd5, readExtra } from './attributes.ts';
import { receiveBody } from './body.ts';
import { checksumAlgorithmOf, checksumHasher } from './checksums.ts';
import { findCopySource } from './copy-source.ts';
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
import { findUpload } from './multipart.ts';
import { checksumHeaders, randomEtag } from './objects.ts';
import { S3Error } from './s3-error.ts';

const PART_NUMBER_MAX = 10_000;
const PART_BYTES_MAX = 5 * 1024 ** 3;

export const uploadPart: Operation = async (service, request) => {
  const number = partNumberOf(request);
  const { upload } = findUpload(service, request, 's3:PutObject');
  const received = await receiveBody(service, request, checksumAlgorithmOf(upload.algorithm ?? undefined));
  try {
    findUpload(service, request, 's3:PutObject');
    const { checksum } = received;
    const extra = readExtra(upload);
    const etag = etagIsMd5(service, extra) ? received.md5.toString('hex') : randomEtag();
    service.uploads.putPart(upload.id, {
      number,
      blob: received.blob,
      size: received.sizeBytes,
      etag,
      modified: service.now(),
      checksum: checksum?.algorithm === upload.algorithm ? (checksum?.value ?? null) : null,
    });
    return emptyResponse(200, [
      'ETag',
      `"${etag}"`,
      ...encryptionHeaders(extra),
      ...checksumHeaders(received),
    ]);
  } finally {
    service.blobs.discard(received.blob);
  }
};

/** Shares the bytes; what is read of them is only what their digests need. */
export const uploadPartCopy: Operation = (service, request) => {
  if (!service.support.partCopy) throw new S3Error('NotImplemented');
  const number = partNumberOf(request);
  const { upload } = findUpload(service, request, 's3:PutObject');
  const { row } = findCopySource(service, request);
  const { start, end } = rangeOf(request, row.size);
  if (end - start > service.copyBytesMax || end - start > PART_BYTES_MAX) {
    throw new S3Error('InvalidRequest', {
      message: `The specified copy source is larger than the maximum allowable size for a copy source: ${service.copyBytesMax}`,
    });
  }
  const digests = digestSlice(service, row.blob, start, end, upload.algorithm);
  const whole = start === 0 && end === row.size;
  const blob = whole
    ? row.blob
    : service.blobs.compose([{ blob: row.blob, start, length: end - start }], digests.md5);
  const extra = readExtra(upload);
  const etag = etagIsMd5(service, extra) ? digests.md5.toString('hex') : randomEtag();
  const modified = service.now();
  const { checksum } = digests;
  service.uploads.putPart(upload.id, { number, blob, size: end - start, etag, modified, checksum });
  const element =
    checksum === null ? '' : `<Checksum${upload.algorithm}>${checksum}</Checksum${upload.algorithm}>`;
  return xmlResponse(
    `<CopyPartResult${XML_NAMESPACE}><LastModified>${isoTime(modified)}</LastModified><ETag>&quot;${etag}&quot;</ETag>${element}</CopyPartResult>`,
    [
      ...encryptionHeaders(extra),
      ...(row.version === null ? [] : ['x-amz-copy-source-version-id', row.version]),
    ],
  );
};

function partNumberOf(request: S3Request): number {
  const number = Number(request.query.get('partNumber'));
  if (Number.isInteger(number) && number >= 1 && number <= PART_NUMBER_MAX) return number;
  throw new S3Error('InvalidArgument', {
    message: `Part number must be an integer between 1 and ${PART_NUMBER_MAX}, inclusive`,
    details: { ArgumentName: 'partNumber', ArgumentValue: request.query.get('partNumber') ?? '' },
  });
}

function rangeOf(request: S3Request, sizeBytes: number): { start: number; end: number } {
  const given = header(request, 'x-amz-copy-source-range');
  if (given === undefined) return { start: 0, end: sizeBytes };
  const match = /^bytes=(\d+)-(\d+)$/.exec(given);
  if (match === null) {
    throw new S3Error('InvalidArgument', {
      message: 'The x-amz-copy-source-range value must be of the form bytes=first-last',
    });
  }
  const start = Number(match[1]);
  const end = Number(match[2]) + 1;
  if (start < end && end <= sizeBytes) return { start, end };
  throw new S3Error('InvalidArgument', {
    message: `Range specified is not valid for source object of size: ${sizeBytes}`,
  });
}

function digestSlice(
  service: Service,
  blob: number,
  start: number,
  end: number,
  algorithm: string | null,
): { md5: Buffer; checksum: string | null } {
  const use = checksumAlgorithmOf(algorithm ?? undefined);
  const md5 = createHash('md5');
  const checksum = use && checksumHasher(use);
  for (const bytes of service.blobs.read(blob, start, end)) {
    md5.update(bytes);
    checksum?.update(bytes);
  }
  return { md5: md5.digest(), checksum: checksum?.digest().toString('base64') ?? null };
}
