/** Where a bucket is, as its URL and the variables of the AWS tools say; the URL goes first. */

import type { StoreUrl } from './store-url.ts';

type S3Url = Extract<StoreUrl, { kind: 's3' }>;
type Env = Readonly<Record<string, string | undefined>>;

/** Undefined for AWS itself. */
export function s3Endpoint(url: S3Url, env: Env): string | undefined {
  return (
    url.endpoint ||
    env['AWS_ENDPOINT_URL_S3'] ||
    env['AWS_ENDPOINT_URL'] ||
    env['S3_ENDPOINT_URL'] ||
    undefined
  );
}

/** Undefined where nothing names one. */
export function s3Region(url: S3Url, env: Env): string | undefined {
  return url.region || env['AWS_REGION'] || env['AWS_DEFAULT_REGION'] || undefined;
}

export const DEFAULT_REGION = 'us-east-1';

/** Undefined where the keys of the environment, or those of its default profile, are used. */
export function s3Profile(url: S3Url, env: Env): string | undefined {
  return url.profile ?? (env['AWS_ACCESS_KEY_ID'] ? undefined : env['AWS_PROFILE'] || undefined);
}
