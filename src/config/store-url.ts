/** Store URLs: `s3://bucket/prefix/`, `file:///folder/prefix`. */

import { fileURLToPath } from 'node:url';
import { LongshoreError } from '../errors.ts';

export type StoreUrl =
  | {
      readonly kind: 's3';
      readonly bucket: string;
      /** What keys begin with; '' for the whole bucket. Taken byte for byte, never percent-decoded. */
      readonly prefix: string;
      readonly endpoint?: string | undefined;
      readonly region?: string | undefined;
      readonly profile?: string | undefined;
    }
  | { readonly kind: 'files'; readonly folder: string; readonly prefix: string };

/**
 * Parses a store's URL. A query names what differs from the environment:
 * `s3://bucket/prefix/?endpoint=https://…&region=eu-west-1&profile=old`.
 * @throws URL_INVALID
 */
export function parseStoreUrl(text: string): StoreUrl {
  if (text.startsWith('s3://')) return parseS3Url(text);
  if (text.startsWith('file:')) return parseFileUrl(text);
  throw invalid(text, 'a store URL begins with s3:// or file://');
}

function parseS3Url(text: string): StoreUrl {
  const rest = text.slice('s3://'.length);
  const queryAt = /\?(?=(?:endpoint|region|profile)=)/.exec(rest)?.index ?? rest.length;
  const slash = rest.slice(0, queryAt).indexOf('/');
  const bucket = rest.slice(0, slash < 0 ? queryAt : slash);
  const prefix = slash < 0 ? '' : rest.slice(slash + 1, queryAt);
  if (!/^[A-Za-z0-9][A-Za-z0-9.\-_]{1,254}$/.test(bucket)) {
    throw invalid(
      text,
      bucket.includes('@') ? 'credentials do not belong there' : `"${bucket}" is not a bucket name`,
    );
  }
  const query = new URLSearchParams(rest.slice(queryAt + 1));
  for (const name of query.keys()) {
    if (!['endpoint', 'region', 'profile'].includes(name)) throw invalid(text, `unknown option "${name}"`);
  }
  const endpoint = query.get('endpoint') ?? undefined;
  if (endpoint !== undefined && !/^https?:\/\/[^/]/.test(endpoint)) {
    throw invalid(text, 'the endpoint is not an http:// or https:// URL');
  }
  if (endpoint !== undefined && /^https?:\/\/[^/]*@/.test(endpoint)) {
    throw invalid(text, 'credentials do not belong in an endpoint');
  }
  return Object.freeze({
    kind: 's3',
    bucket,
    prefix,
    endpoint,
    region: query.get('region') ?? undefined,
    profile: query.get('profile') ?? undefined,
  });
}

/** The folder is the deepest one named with a slash at the end: `file:///data/image/` has no prefix. */
function parseFileUrl(text: string): StoreUrl {
  let path: string;
  try {
    path = fileURLToPath(text);
  } catch (error) {
    throw invalid(text, error instanceof Error ? error.message : 'not a file URL');
  }
  const slash = path.lastIndexOf('/');
  return Object.freeze({ kind: 'files', folder: path.slice(0, slash + 1), prefix: path.slice(slash + 1) });
}

function invalid(text: string, why: string): LongshoreError {
  // What stands before an @ may be a secret.
  const shown = text.replace(/\/\/[^/@]*@/g, '//…@');
  return new LongshoreError('URL_INVALID', `cannot read "${shown}" as a store URL: ${why}`, {
    hint: 'write s3://bucket/prefix/ or file:///folder/',
  });
}

/** As a person would write it. */
export function formatStoreUrl(url: StoreUrl): string {
  return url.kind === 's3' ? `s3://${url.bucket}/${url.prefix}` : `file://${url.folder}${url.prefix}`;
}

/** A prefix that ends in a slash; the root of the store, '', stays it. */
export function folderPrefix(prefix: string): string {
  return prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
}
