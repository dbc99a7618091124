/**
 * A folder of images as the OCI image layout has it: content by its digest under `blobs/`, and `index.json`, which gives
 * images their names. Other tools read it as `oci:folder:name`.
 */

import { createHash, randomUUID } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { LongshoreError } from '../../errors.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import { diskError } from '../../flow/disk-error.ts';
import { isAlive } from '../../flow/is-alive.ts';
import {
  canonicalJson,
  type Descriptor,
  digestOf,
  type Image,
  type ImageIndex,
  isIndex,
  MEDIA_TYPES,
  parseImageConfig,
  parseIndex,
  parseManifest,
  pickPlatform,
} from './image.ts';
import { lockFile } from './lock-file.ts';
import { collected, DOCUMENT_BYTES_MAX, verified } from './verified.ts';

export const REF_NAME = 'org.opencontainers.image.ref.name';

export class ImageLayout {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes it where it is not there. @throws JOURNAL_UNWRITABLE */
  static async make(folder: string): Promise<ImageLayout> {
    try {
      await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true });
      const layout = join(folder, 'oci-layout');
      if (!existsSync(layout)) writeFileSync(layout, '{"imageLayoutVersion":"1.0.0"}');
      // Of processes that were killed.
      for (const name of readdirSync(folder)) {
        const pid = /^\.making-(\d+)-/.exec(name)?.[1];
        if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(folder, name), { force: true });
      }
    } catch (error) {
      throw diskError(error, 'write to', folder);
    }
    return new ImageLayout(folder);
  }

  /** Undefined where there is none. */
  static find(folder: string): ImageLayout | undefined {
    return existsSync(join(folder, 'oci-layout')) ? new ImageLayout(folder) : undefined;
  }

  pathOf(digest: string): string {
    return join(this.folder, 'blobs', ...digest.split(':'));
  }

  /** Whether it is there, and not damaged. */
  async has(descriptor: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean> {
    const found = statSync(this.pathOf(descriptor.digest), { throwIfNoEntry: false });
    if (found?.size !== descriptor.size) return false;
    try {
      for await (const _ of this.read(descriptor));
      return true;
    } catch (error) {
      if (error instanceof LongshoreError) return false;
      throw error;
    }
  }

  /**
   * What is killed meanwhile leaves nothing under its digest.
   *
   * @param expected where its digest is known: what differs is refused
   * @throws STORE_RESPONSE, JOURNAL_UNWRITABLE
   */
  async put(
    content: AsyncIterable<Uint8Array>,
    mediaType: string,
    expected?: Descriptor,
  ): Promise<Descriptor> {
    const making = join(this.folder, `.making-${process.pid}-${randomUUID()}`);
    const hash = createHash('sha256');
    let size = 0;
    try {
      {
        await using file = await open(making, 'wx');
        const pieces = expected === undefined ? content : verified(content, expected, 'what was pulled');
        for await (const piece of pieces) {
          hash.update(piece);
          size += piece.length;
          await file.writeFile(piece);
        }
        await file.sync();
      }
      const digest = `sha256:${hash.digest('hex')}`;
      renameSync(making, this.pathOf(digest));
      return { mediaType, digest, size };
    } catch (error) {
      rmSync(making, { force: true });
      if (typeof (error as NodeJS.ErrnoException).syscall === 'string')
        throw diskError(error, 'write to', this.folder);
      throw error;
    }
  }

  async putBytes(bytes: Buffer, mediaType: string): Promise<Descriptor> {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    if (await this.has(descriptor)) return descriptor;
    return await this.put(
      (async function* () {
        yield bytes;
      })(),
      mediaType,
    );
  }

  read(descriptor: Pick<Descriptor, 'digest' | 'size'>): AsyncIterable<Uint8Array> {
    return verified(this.#pieces(descriptor.digest), descriptor, this.folder);
  }

  async *#pieces(digest: string): AsyncGenerator<Uint8Array> {
    try {
      yield* createReadStream(this.pathOf(digest)) as AsyncIterable<Uint8Array>;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw diskError(error, 'read', this.folder);
      throw new LongshoreError('STORE_RESPONSE', `${digest} is not in ${this.folder}`, {
        hint: 'build or pull it again',
      });
    }
  }

  /** In the order of their names. */
  names(): { readonly name: string; readonly descriptor: Descriptor }[] {
    return this.#index()
      .manifests.flatMap((descriptor) => {
        const name = descriptor.annotations?.[REF_NAME];
        return name === undefined ? [] : [{ name, descriptor }];
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Takes the name away from whatever had it; waits while another process names something. */
  async tag(
    name: string,
    descriptor: Descriptor,
    signal?: AbortSignal,
    clock: Clock = systemClock,
  ): Promise<void> {
    await using _lock = await lockFile(join(this.folder, 'index.lock'), clock, signal);
    const others = this.#index().manifests.filter((other) => other.annotations?.[REF_NAME] !== name);
    const manifests = [...others, { ...descriptor, annotations: { [REF_NAME]: name } }];
    manifests.sort((a, b) =>
      (a.annotations?.[REF_NAME] ?? '') < (b.annotations?.[REF_NAME] ?? '') ? -1 : 1,
    );
    const index = canonicalJson({ schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests });
    const making = join(this.folder, `.making-${process.pid}-${randomUUID()}`);
    try {
      writeFileSync(making, index);
      renameSync(making, join(this.folder, 'index.json'));
    } catch (error) {
      throw diskError(error, 'write to', this.folder);
    }
  }

  /** @param name where it is left out, the only one there is @throws CONFIG_INVALID where there is none of that name */
  async image(name?: string): Promise<Image> {
    const index = this.#index();
    const descriptor =
      name === undefined
        ? index.manifests.length === 1
          ? index.manifests[0]
          : undefined
        : index.manifests.find((one) => one.annotations?.[REF_NAME] === name);
    if (descriptor !== undefined) return await this.imageAt(descriptor, name ?? this.folder);
    const names = this.names().map((one) => one.name);
    throw new LongshoreError(
      'CONFIG_INVALID',
      name === undefined ? `${this.folder} holds several images` : `${this.folder} holds no ${name}`,
      { hint: names.length === 0 ? 'build one there' : `name one of ${names.join(', ')}` },
    );
  }

  async imageAt(descriptor: Descriptor, name: string): Promise<Image> {
    const bytes = await this.#document(descriptor);
    if (isIndex(descriptor.mediaType))
      return await this.imageAt(pickPlatform(parseIndex(bytes, name), name), name);
    const manifest = parseManifest(bytes, name);
    return {
      name,
      descriptor,
      manifest,
      manifestBytes: bytes,
      config: parseImageConfig(await this.#document(manifest.config), name),
      blob: (one) => this.read(one),
    };
  }

  #document(descriptor: Descriptor): Promise<Buffer> {
    return collected(this.read(descriptor), DOCUMENT_BYTES_MAX, descriptor.digest);
  }

  #index(): ImageIndex {
    const path = join(this.folder, 'index.json');
    if (!existsSync(path)) return { schemaVersion: 2, manifests: [] };
    return parseIndex(readFileSync(path), this.folder);
  }
}
