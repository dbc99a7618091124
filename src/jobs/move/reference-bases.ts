/** The URLs by which rows may name a bucket. */

import { s3Endpoint, s3Region } from '../../config/s3-environment.ts';
import type { StoreUrl } from '../../config/store-url.ts';

/** A URL base of the source and what stands in its place for the target; both end where the key begins. */
export interface ReferenceBase {
  readonly source: string;
  readonly target: string;
}

/** A bucket and where it is. */
export interface BucketAddress {
  readonly bucket: string;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
}

export function bucketAddress(
  url: Extract<StoreUrl, { kind: 's3' }>,
  env: Readonly<Record<string, string | undefined>>,
): BucketAddress {
  return { bucket: url.bucket, endpoint: s3Endpoint(url, env), region: s3Region(url, env) };
}

/**
 * All bases by which the source may be named, each with the target's of the same form. Bases given come first:
 * they are the more particular ones.
 */
export function referenceBases(options: {
  readonly source: BucketAddress;
  readonly target: BucketAddress;
  readonly urls?: readonly ReferenceBase[];
}): ReferenceBase[] {
  const { source, target } = options;
  const bases: ReferenceBase[] = (options.urls ?? []).map((pair) => ({
    source: withSlash(pair.source),
    target: withSlash(pair.target),
  }));
  bases.push({ source: `s3://${source.bucket}/`, target: `s3://${target.bucket}/` });
  const targetUrls = hostForms(target);
  for (const [form, host] of hostForms(source)) {
    const other = targetUrls.get(form) ?? targetUrls.values().next().value!;
    for (const scheme of ['https://', 'http://', '//'])
      bases.push({ source: scheme + host, target: scheme + other });
  }
  return bases;
}

/** Host and path in each form that names a bucket, by the form's name; all end with a slash. */
function hostForms({ bucket, endpoint, region }: BucketAddress): Map<string, string> {
  const forms = new Map<string, string>();
  if (endpoint !== undefined && endpoint !== '') {
    const { host, pathname } = new URL(endpoint);
    const root = pathname === '/' ? '' : pathname.replace(/\/$/, '');
    forms.set('path', `${host}${root}/${bucket}/`);
    forms.set('host', `${bucket}.${host}${root}/`);
    if (!/\.amazonaws\.com(?:\.cn)?$/.test(host)) return forms;
  }
  // The regions of China are a partition, and a domain, of their own.
  const domain =
    region?.startsWith('cn-') || endpoint?.includes('.amazonaws.com.cn')
      ? 'amazonaws.com.cn'
      : 'amazonaws.com';
  forms.set('aws path', `s3.${domain}/${bucket}/`);
  forms.set('aws host', `${bucket}.s3.${domain}/`);
  if (region !== undefined && region !== '') {
    forms.set('aws path in region', `s3.${region}.${domain}/${bucket}/`);
    forms.set('aws host in region', `${bucket}.s3.${region}.${domain}/`);
    forms.set('aws path in region, with a dash', `s3-${region}.${domain}/${bucket}/`);
    forms.set('aws host in region, with a dash', `${bucket}.s3-${region}.${domain}/`);
    forms.set('aws path, dual stack', `s3.dualstack.${region}.${domain}/${bucket}/`);
    forms.set('aws host, dual stack', `${bucket}.s3.dualstack.${region}.${domain}/`);
  }
  return forms;
}

function withSlash(url: string): string {
  return url.endsWith('/') ? url : `${url}/`;
}
