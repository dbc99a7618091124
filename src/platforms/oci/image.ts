/**
 * An image as the OCI image specification has it: a manifest names a configuration and layers by their digests.
 * https://github.com/opencontainers/image-spec
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { LongshoreError } from '../../errors.ts';

export const MEDIA_TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
} as const;

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be a digest of sha256');
const texts = z.record(z.string(), z.string());

const descriptorShape = z.object({
  mediaType: z.string(),
  digest,
  size: z.int().nonnegative(),
  annotations: texts.optional(),
  platform: z.object({ architecture: z.string(), os: z.string(), variant: z.string().optional() }).optional(),
});

const manifestShape = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptorShape,
  layers: z.array(descriptorShape),
  annotations: texts.optional(),
});

const indexShape = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(descriptorShape),
});

const configShape = z.looseObject({
  architecture: z.string(),
  os: z.string(),
  created: z.string().optional(),
  config: z
    .looseObject({
      Env: z.array(z.string()).nullish(),
      Entrypoint: z.array(z.string()).nullish(),
      Labels: texts.nullish(),
    })
    .nullish(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(digest) }),
  history: z.array(z.looseObject({ empty_layer: z.boolean().optional() })).nullish(),
});

/** Names content by its digest. */
export type Descriptor = z.infer<typeof descriptorShape>;
export type ImageManifest = z.infer<typeof manifestShape>;
export type ImageIndex = z.infer<typeof indexShape>;
export type ImageConfig = z.infer<typeof configShape>;

export const parseManifest = (bytes: Buffer, what: string): ImageManifest =>
  parsed(manifestShape, bytes, `the manifest of ${what}`);
export const parseIndex = (bytes: Buffer, what: string): ImageIndex =>
  parsed(indexShape, bytes, `the index of ${what}`);
export const parseImageConfig = (bytes: Buffer, what: string): ImageConfig =>
  parsed(configShape, bytes, `the configuration of ${what}`);

/** An image that can be read, wherever it is. */
export interface Image {
  /** For messages. */
  readonly name: string;
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly manifestBytes: Buffer;
  readonly config: ImageConfig;
  /** Its content; may be called again. The last piece comes only when size and digest are right. @throws STORE_RESPONSE */
  blob(descriptor: Descriptor): AsyncIterable<Uint8Array>;
}

/** Whether a manifest is one of several platforms. */
export const isIndex = (mediaType: string): boolean =>
  mediaType === MEDIA_TYPES.index || mediaType === MEDIA_TYPES.dockerIndex;

/** `amd64`, as images name the architecture of this machine. */
export const ARCHITECTURE: string =
  ({ x64: 'amd64', ia32: '386' } as Readonly<Record<string, string>>)[process.arch] ?? process.arch;

/** That for Linux on this machine's architecture. @throws STORE_UNSUPPORTED where there is none */
export function pickPlatform(index: ImageIndex, what: string): Descriptor {
  const [only] = index.manifests;
  if (index.manifests.length === 1 && only !== undefined) return only;
  const found = index.manifests.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === ARCHITECTURE,
  );
  if (found !== undefined) return found;
  const there = index.manifests.map(({ platform }) => `${platform?.os}/${platform?.architecture}`);
  throw new LongshoreError(
    'STORE_UNSUPPORTED',
    `${what} is not for linux/${ARCHITECTURE}: it is for ${there.join(', ') || 'nothing'}`,
    { hint: 'name an image of that platform' },
  );
}

export const digestOf = (bytes: Uint8Array): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** The same for equal values: keys are sorted, those that are undefined are left out. */
export function canonicalJson(value: unknown, indent?: number): Buffer {
  return Buffer.from(JSON.stringify(sorted(value), undefined, indent));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, part]) => part !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, part]) => [key, sorted(part)]));
}

function parsed<T>(shape: z.ZodType<T>, bytes: Buffer, what: string): T {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new LongshoreError('STORE_RESPONSE', `cannot read ${what}: it is no JSON`, { cause: error });
  }
  const result = shape.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new LongshoreError('STORE_RESPONSE', `cannot use ${what}: ${problems.join('; ')}`);
}
