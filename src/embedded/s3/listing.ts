/** ListObjects, ListObjectsV2 and ListObjectVersions: pages in UTF-8 byte order, rolled up at a delimiter. */

import type { Bucket } from './buckets-table.ts';
import {
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
import type { ListedVersion, VersionRow } from './versions-table.ts';
import { urlEncodeKey, xmlEscape } from './xml.ts';

const KEYS_MAX = 1_000;
const NEWEST = Number.MAX_SAFE_INTEGER;

export const listObjects: Operation = (service, request) => {
  const listing = readListing(service, request, 's3:ListBucket');
  const marker = request.query.get('marker') ?? '';
  const page = collect(listing, marker, NEWEST, (from, _, limit) =>
    service.versions.list(listing.bucket, from, limit),
  );
  let xml = `<ListBucketResult${XML_NAMESPACE}>${listing.start}<Marker>${listing.encode(marker)}</Marker>`;
  if (page.next !== undefined && listing.delimiter !== '') {
    xml += `<NextMarker>${listing.encode(page.next.key)}</NextMarker>`;
  }
  xml += `<IsTruncated>${page.next !== undefined}</IsTruncated>`;
  for (const { row, key } of page.items) xml += content(listing.encode(key), row, OWNER_ELEMENT);
  return xmlResponse(`${xml}${prefixes(listing, page)}</ListBucketResult>`);
};

export const listObjectsV2: Operation = (service, request) => {
  const listing = readListing(service, request, 's3:ListBucket');
  const token = request.query.get('continuation-token');
  const startAfter = request.query.get('start-after');
  const page = collect(
    listing,
    token === undefined ? (startAfter ?? '') : readToken(token),
    NEWEST,
    (from, _, limit) => service.versions.list(listing.bucket, from, limit),
  );
  let xml = `<ListBucketResult${XML_NAMESPACE}>${listing.start}<KeyCount>${page.items.length + page.prefixes.length}</KeyCount>`;
  if (token !== undefined) xml += `<ContinuationToken>${xmlEscape(token)}</ContinuationToken>`;
  if (startAfter !== undefined) xml += `<StartAfter>${listing.encode(startAfter)}</StartAfter>`;
  xml += `<IsTruncated>${page.next !== undefined}</IsTruncated>`;
  if (page.next !== undefined) {
    xml += `<NextContinuationToken>${Buffer.from(page.next.key).toString('base64')}</NextContinuationToken>`;
  }
  const owner = request.query.get('fetch-owner') === 'true' ? OWNER_ELEMENT : '';
  for (const { row, key } of page.items) xml += content(listing.encode(key), row, owner);
  return xmlResponse(`${xml}${prefixes(listing, page)}</ListBucketResult>`);
};

export const listObjectVersions: Operation = (service, request) => {
  const listing = readListing(service, request, 's3:ListBucketVersions');
  const { bucket, encode } = listing;
  const keyMarker = request.query.get('key-marker') ?? '';
  const versionMarker = request.query.get('version-id-marker') ?? '';
  let seq = NEWEST;
  if (keyMarker !== '') {
    const marked = versionMarker && service.versions.version(bucket, Buffer.from(keyMarker), versionMarker);
    seq = marked ? marked.seq : 0;
  }
  const page = collect(listing, keyMarker, seq, (from, before, limit) =>
    service.versions.listVersions(bucket, from, before, limit),
  );
  let xml = `<ListVersionsResult${XML_NAMESPACE}>${listing.start}<KeyMarker>${encode(keyMarker)}</KeyMarker><VersionIdMarker>${xmlEscape(versionMarker)}</VersionIdMarker>`;
  if (page.next !== undefined) {
    xml += `<NextKeyMarker>${encode(page.next.key)}</NextKeyMarker>`;
    if (page.next.row) xml += `<NextVersionIdMarker>${page.next.row.version ?? 'null'}</NextVersionIdMarker>`;
  }
  xml += `<IsTruncated>${page.next !== undefined}</IsTruncated>`;
  for (const { row, key } of page.items) {
    const { latest, version, marker } = row as ListedVersion;
    const common = `<Key>${encode(key)}</Key><VersionId>${version ?? 'null'}</VersionId><IsLatest>${latest === 1}</IsLatest><LastModified>${isoTime(row.modified)}</LastModified>`;
    xml +=
      marker === 1
        ? `<DeleteMarker>${common}${OWNER_ELEMENT}</DeleteMarker>`
        : `<Version>${common}<ETag>&quot;${row.etag}&quot;</ETag><Size>${row.size}</Size><StorageClass>${row.class}</StorageClass>${OWNER_ELEMENT}</Version>`;
  }
  return xmlResponse(`${xml}${prefixes(listing, page)}</ListVersionsResult>`);
};

const OWNER_ELEMENT = `<Owner>${OWNER}</Owner>`;

interface Listing {
  readonly bucket: Bucket;
  readonly prefix: string;
  readonly delimiter: string;
  readonly limit: number;
  readonly encode: (key: string) => string;
  /** The elements that repeat the request. */
  readonly start: string;
}

interface Item {
  readonly key: string;
  readonly row: VersionRow;
}

interface Page {
  readonly items: readonly Item[];
  readonly prefixes: readonly string[];
  /** Where the next page begins: after this key (or common prefix, then without a row); absent on the last page. */
  readonly next: { readonly key: string; readonly row?: VersionRow | undefined } | undefined;
}

function readListing(service: Service, request: S3Request, action: string): Listing {
  demand(request.principal, action, service.buckets.resolve(request.bucketName));
  const bucket = service.buckets.get(request.bucketName);
  const { query } = request;
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const asked = Number(query.get('max-keys') ?? KEYS_MAX);
  if (!Number.isInteger(asked) || asked < 0) {
    throw new S3Error('InvalidArgument', { details: { ArgumentName: 'max-keys' } });
  }
  const urlEncoding = service.support.urlEncoding && query.get('encoding-type') === 'url';
  const encode = urlEncoding ? (key: string) => xmlEscape(urlEncodeKey(key)) : xmlEscape;
  const limit = Math.min(asked, KEYS_MAX);
  let start = `<Name>${xmlEscape(request.bucketName)}</Name><Prefix>${encode(prefix)}</Prefix><MaxKeys>${limit}</MaxKeys>`;
  if (delimiter !== '') start += `<Delimiter>${encode(delimiter)}</Delimiter>`;
  if (urlEncoding) start += '<EncodingType>url</EncodingType>';
  return { bucket, prefix, delimiter, limit, encode, start };
}

/**
 * A page after `after`, from rows that `fetch` gives in order from a key on.
 * @param seq of the key `after` itself, versions older than this one belong to the page too
 */
function collect(
  listing: Listing,
  after: string,
  seq: number,
  fetch: (from: Uint8Array, seq: number, limit: number) => VersionRow[],
): Page {
  const { prefix, delimiter, limit } = listing;
  const prefixBytes = Buffer.from(prefix);
  const versioned = seq !== NEWEST;
  let from: Buffer = Buffer.from(after);
  let before = seq;
  if (after !== '' && !versioned) from = successorOfKey(from);
  if (
    delimiter !== '' &&
    after.startsWith(prefix) &&
    after.endsWith(delimiter) &&
    after.length > prefix.length
  ) {
    const isCommon = after.indexOf(delimiter, prefix.length) === after.length - delimiter.length;
    if (isCommon) {
      from = successorOfPrefix(Buffer.from(after));
      before = NEWEST;
    }
  }
  if (Buffer.compare(from, prefixBytes) < 0) {
    from = prefixBytes;
    before = NEWEST;
  }
  const items: Item[] = [];
  const prefixes: string[] = [];
  if (limit === 0) return { items, prefixes, next: undefined };
  let last: Page['next'];
  for (;;) {
    const wanted = limit - items.length - prefixes.length + 1;
    const batch = delimiter === '' ? wanted : Math.min(wanted, 64);
    const rows = fetch(from, before, batch);
    let common: string | undefined;
    for (const row of rows) {
      const key = textOf(row.key);
      if (common !== undefined && key.startsWith(common)) continue;
      common = undefined;
      if (!key.startsWith(prefix)) return { items, prefixes, next: undefined };
      if (items.length + prefixes.length === limit) return { items, prefixes, next: last };
      const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      if (end === -1) {
        items.push({ key, row });
        last = { key, row };
      } else {
        common = key.slice(0, end + delimiter.length);
        prefixes.push(common);
        last = { key: common };
      }
    }
    const final = rows.at(-1);
    if (final === undefined || rows.length < batch) return { items, prefixes, next: undefined };
    if (common !== undefined) {
      from = successorOfPrefix(Buffer.from(common));
      before = NEWEST;
    } else {
      from = versioned || final.seq !== undefined ? Buffer.from(final.key) : successorOfKey(final.key);
      before = final.seq ?? NEWEST;
    }
  }
}

function content(key: string, row: VersionRow, owner: string): string {
  return `<Contents><Key>${key}</Key><LastModified>${isoTime(row.modified)}</LastModified><ETag>&quot;${row.etag}&quot;</ETag><Size>${row.size}</Size>${owner}<StorageClass>${row.class}</StorageClass></Contents>`;
}

function prefixes(listing: Listing, page: Page): string {
  let xml = '';
  for (const prefix of page.prefixes) {
    xml += `<CommonPrefixes><Prefix>${listing.encode(prefix)}</Prefix></CommonPrefixes>`;
  }
  return xml;
}

/** The first byte string after this one. */
function successorOfKey(key: Uint8Array): Buffer {
  return Buffer.concat([key, Buffer.of(0)]);
}

/** The first byte string after all that start with this one; UTF-8 holds no byte 255, so the last can be raised. */
function successorOfPrefix(prefix: Buffer): Buffer {
  const next = Buffer.from(prefix);
  next[next.length - 1] = next[next.length - 1]! + 1;
  return next;
}

function readToken(token: string): string {
  const key = Buffer.from(token, 'base64').toString('utf8');
  if (key === '') {
    throw new S3Error('InvalidArgument', { message: 'The continuation token provided is incorrect' });
  }
  return key;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
