/** The name of an image in a registry, `registry.example/team/shop-db:1.4`, read as Docker reads it. */

import { LongshoreError } from '../../errors.ts';

export interface ImageReference {
  /** `registry.example:5000`; `docker.io` where none is named. */
  readonly registry: string;
  /** Whether the registry was named. */
  readonly isExplicit: boolean;
  readonly repository: string;
  readonly tag: string;
  /** Goes before the tag. */
  readonly digest: string | undefined;
}

/** @throws URL_INVALID */
export function parseImageReference(text: string): ImageReference {
  const match = /^(?<path>[^@]+?)(?::(?<tag>[^:/@]+))?(?:@(?<digest>.+))?$/.exec(text);
  const { path = '', tag = 'latest', digest } = match?.groups ?? {};
  const parts = path.split('/');
  // As Docker tells a host from a repository.
  const isExplicit = parts.length > 1 && /[.:]|^localhost$/.test(parts[0]!);
  const registry = isExplicit ? parts.shift()! : 'docker.io';
  if (registry === 'docker.io' && parts.length === 1) parts.unshift('library');
  const isLegal =
    /^(?:\[[\da-f:]+\]|[a-z\d](?:[a-z\d.-]*[a-z\d])?)(?::\d{1,5})?$/i.test(registry) &&
    parts.every((part) => /^[a-z\d]+(?:(?:\.|_|__|-+)[a-z\d]+)*$/.test(part)) &&
    TAG.test(tag) &&
    (digest === undefined || /^sha256:[\da-f]{64}$/.test(digest));
  if (!isLegal)
    throw new LongshoreError('URL_INVALID', `cannot read "${text}" as the name of an image`, {
      hint: 'write registry.example/team/shop-db:1.4, in small letters',
    });
  return { registry, isExplicit, repository: parts.join('/'), tag, digest };
}

/** `registry.example/team/shop-db:1.4` */
export function referenceText({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${digest === undefined ? `:${tag}` : `@${digest}`}`;
}

const TAG = /^\w[\w.-]{0,127}$/;

/** `shop-db` is `shop-db:latest`. @throws URL_INVALID */
export function withTag(text: string): string {
  const { digest } = parseImageReference(text);
  if (digest !== undefined)
    throw new LongshoreError('URL_INVALID', `cannot use "${text}" as a tag: it names a digest`, {
      hint: 'write name:tag',
    });
  return /:[^:/]+$/.test(text) ? text : `${text}:latest`;
}
