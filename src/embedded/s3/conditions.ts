/** Preconditions: of reads, of writes on what they replace, of copies on their source. */

import { header, type S3Request } from './exchange.ts';
import { preconditionFailed, S3Error } from './s3-error.ts';
import type { VersionRow } from './versions-table.ts';

/** Whether a header's list of ETags (or `*`) holds this one. */
export function etagMatches(list: string, etag: string): boolean {
  if (list === '*' || list === etag) return true;
  return list.split(',').some((item) => {
    const trimmed = item.trim();
    return trimmed === '*' || trimmed.replace(/^(?:W\/)?"?|"$/g, '') === etag;
  });
}

/**
 * `If-None-Match: *` and `If-Match` of a write.
 * @throws {S3Error} PreconditionFailed; NoSuchKey for `If-Match` where there is no object
 */
export function checkTarget(request: S3Request, current: VersionRow | undefined): void {
  const ifNoneMatch = header(request, 'if-none-match');
  const ifMatch = header(request, 'if-match');
  if (ifNoneMatch === undefined && ifMatch === undefined) return;
  const exists = current !== undefined && current.marker === 0;
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch !== '*') throw new S3Error('NotImplemented');
    if (exists) throw preconditionFailed('If-None-Match');
  }
  if (ifMatch !== undefined) {
    if (!exists) throw new S3Error('NoSuchKey', { details: { Key: request.key } });
    if (!etagMatches(ifMatch, current.etag)) throw preconditionFailed('If-Match');
  }
}

/**
 * `x-amz-copy-source-if-*` of a copy. A true `if-match` overrides `if-unmodified-since`, a false `if-none-match`
 * prevails over `if-modified-since`.
 * @throws {S3Error} PreconditionFailed
 */
export function checkSource(request: S3Request, source: VersionRow): void {
  const prefix = 'x-amz-copy-source-if-';
  const ifMatch = header(request, `${prefix}match`);
  const ifNoneMatch = header(request, `${prefix}none-match`);
  const modifiedSince = header(request, `${prefix}modified-since`);
  const unmodifiedSince = header(request, `${prefix}unmodified-since`);
  if (ifMatch !== undefined) {
    if (!etagMatches(ifMatch, source.etag)) throw preconditionFailed('x-amz-copy-source-If-Match');
  } else if (unmodifiedSince !== undefined && isAfter(source.modified, unmodifiedSince)) {
    throw preconditionFailed('x-amz-copy-source-If-Unmodified-Since');
  }
  if (ifNoneMatch !== undefined) {
    if (etagMatches(ifNoneMatch, source.etag)) throw preconditionFailed('x-amz-copy-source-If-None-Match');
  } else if (modifiedSince !== undefined && !isAfter(source.modified, modifiedSince)) {
    throw preconditionFailed('x-amz-copy-source-If-Modified-Since');
  }
}

/**
 * The conditions of GET and HEAD.
 * @returns whether to answer 304
 * @throws {S3Error} PreconditionFailed
 */
export function isNotModified(request: S3Request, row: VersionRow): boolean {
  const ifMatch = header(request, 'if-match');
  const unmodifiedSince = header(request, 'if-unmodified-since');
  if (ifMatch !== undefined) {
    if (!etagMatches(ifMatch, row.etag)) throw preconditionFailed('If-Match');
  } else if (unmodifiedSince !== undefined && isAfter(row.modified, unmodifiedSince)) {
    throw preconditionFailed('If-Unmodified-Since');
  }
  const ifNoneMatch = header(request, 'if-none-match');
  if (ifNoneMatch !== undefined) return etagMatches(ifNoneMatch, row.etag);
  const modifiedSince = header(request, 'if-modified-since');
  return modifiedSince !== undefined && !isAfter(row.modified, modifiedSince);
}

/** Compares whole seconds; a date that cannot be read is ignored. */
function isAfter(timeMs: number, date: string): boolean {
  return Math.floor(timeMs / 1000) * 1000 > Date.parse(date);
}
