/**
 * Images in a registry, as the OCI distribution specification has it: pull, push, and what is there already.
 * https://github.com/opencontainers/distribution-spec
 */

import { LongshoreError } from '../../errors.ts';
import { downloadBlob } from './blob-download.ts';
import { isThere, sessionOf, type UploadableBlob, type UploadSession, uploadBlob } from './blob-upload.ts';
import {
  type Descriptor,
  digestOf,
  type Image,
  isIndex,
  MEDIA_TYPES,
  parseImageConfig,
  parseIndex,
  parseManifest,
  pickPlatform,
} from './image.ts';
import { type ImageReference, referenceText } from './reference.ts';
import { bodyText, RegistryConnection, type RegistryOptions } from './registry-connection.ts';
import { collected, DOCUMENT_BYTES_MAX, verified } from './verified.ts';

export interface PushOptions {
  /** Of the same registry: blobs that it has are not sent. */
  readonly mountFrom?: readonly string[] | undefined;
  /** Sends chunks of that size, where something before the registry takes no larger requests. */
  readonly chunkBytes?: number | undefined;
}

export type PushedBlob = 'there' | 'mounted' | 'uploaded';

export class Registry implements AsyncDisposable {
  readonly #connection: RegistryConnection;
  readonly #reference: ImageReference;
  readonly #name: string;

  constructor(reference: ImageReference, access: 'pull' | 'pull,push', options: RegistryOptions) {
    this.#reference = reference;
    this.#name = referenceText(reference);
    this.#connection = new RegistryConnection(reference.registry, reference.repository, access, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }

  /** Of several platforms that of this machine. Reads manifest and configuration. @throws STORE_*, OBJECT_FAILED */
  async image(): Promise<Image> {
    const { tag, digest } = this.#reference;
    return await this.#imageAt(digest ?? tag);
  }

  /** Undefined where nothing has the tag. */
  async digestOfTag(): Promise<string | undefined> {
    const answer = await this.#connection.send({
      method: 'HEAD',
      url: `manifests/${this.#reference.tag}`,
      headers: { accept: MANIFESTS },
      expected: [200, 404],
      action: `look for ${this.#reference.tag}`,
    });
    await bodyText(answer);
    return answer.status === 404 ? undefined : answer.header('docker-content-digest');
  }

  /** Sends it unless it is there. */
  async pushBlob(
    blob: UploadableBlob,
    { mountFrom = [], chunkBytes }: PushOptions = {},
  ): Promise<PushedBlob> {
    if (await isThere(this.#connection, blob)) return 'there';
    let begun: UploadSession | undefined;
    for (const from of mountFrom) {
      const mounted = await this.#mount(blob.digest, from);
      if (mounted === MOUNTED) return 'mounted';
      begun = mounted ?? begun;
    }
    await uploadBlob(this.#connection, blob, { begun, chunkBytes });
    return 'uploaded';
  }

  /** Under the tag, or its digest where the reference has one. All that it names has to be there. */
  async pushManifest(bytes: Buffer, mediaType: string): Promise<void> {
    const { tag, digest } = this.#reference;
    const answer = await this.#connection.send({
      method: 'PUT',
      url: `manifests/${digest ?? tag}`,
      headers: { 'content-type': mediaType, 'content-length': String(bytes.length) },
      body: () => bytes,
      expected: [201, 202],
      action: `put the manifest ${digest ?? tag}`,
    });
    await bodyText(answer);
    const found = answer.header('docker-content-digest');
    if (found !== undefined && found !== digestOf(bytes))
      throw new LongshoreError(
        'STORE_RESPONSE',
        `${this.#name} has the digest ${found} after ${digestOf(bytes)} was put`,
      );
  }

  /** @throws STORE_RESPONSE where it is not what its digest says */
  async *blob(descriptor: Descriptor): AsyncGenerator<Uint8Array> {
    yield* verified(downloadBlob(this.#connection, descriptor), descriptor, this.#name);
  }

  /** The upload that was begun instead, where it was not there; undefined where it may not be read. */
  async #mount(digest: string, from: string): Promise<UploadSession | undefined> {
    this.#connection.alsoPullFrom(from);
    try {
      const answer = await this.#connection.send({
        method: 'POST',
        url: `blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`,
        headers: { 'content-length': '0' },
        expected: [201, 202, 404],
        action: `mount ${digest} from ${from} in a repository`,
      });
      await bodyText(answer);
      if (answer.status === 201) return MOUNTED;
      return answer.status === 202 ? sessionOf(answer, 0) : undefined;
    } catch (error) {
      const isForeign =
        error instanceof LongshoreError &&
        (error.code === 'STORE_CREDENTIALS' || error.code === 'STORE_DENIED');
      if (!isForeign) throw error;
      // Whether the repository itself may be written to is told by the upload.
      this.#connection.stopPullingFrom(from);
      return undefined;
    }
  }

  async #imageAt(which: string): Promise<Image> {
    const asked = {
      method: 'GET',
      url: `manifests/${which}`,
      headers: { accept: MANIFESTS },
      expected: [200],
      action: `pull the manifest ${which}`,
    } as const;
    const { answer, bytes } = await this.#connection.document(asked, `the manifest of ${this.#name}`);
    const digest = digestOf(bytes);
    if (which.startsWith('sha256:') && which !== digest)
      throw new LongshoreError(
        'STORE_RESPONSE',
        `the manifest ${which} of ${this.#name} is damaged: it has the digest ${digest}`,
      );
    const mediaType = (answer.header('content-type') ?? MEDIA_TYPES.manifest).replace(/\s*;.*$/, '');
    if (isIndex(mediaType))
      return await this.#imageAt(pickPlatform(parseIndex(bytes, this.#name), this.#name).digest);
    const manifest = parseManifest(bytes, this.#name);
    const config = await collected(
      this.blob(manifest.config),
      DOCUMENT_BYTES_MAX,
      `the configuration of ${this.#name}`,
    );
    return {
      name: this.#name,
      descriptor: { mediaType, digest, size: bytes.length },
      manifest,
      manifestBytes: bytes,
      config: parseImageConfig(config, this.#name),
      blob: (descriptor) => this.blob(descriptor),
    };
  }
}

const MOUNTED: UploadSession = { location: '', offset: 0, chunkBytesMin: 0 };

const MANIFESTS = [
  MEDIA_TYPES.manifest,
  MEDIA_TYPES.index,
  MEDIA_TYPES.dockerManifest,
  MEDIA_TYPES.dockerIndex,
].join(', ');
