/**
 * A folder as an ObjectStore. Keys are paths below it; what an object has besides its bytes is kept as JSON in a
 * hidden folder at the root. Symbolic links are not followed and count as absent.
 */

import { createHash, randomUUID } from 'node:crypto';
import { constants, createReadStream, type Stats } from 'node:fs';
import {
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { LongshoreError } from '../../errors.ts';
import { compareKeys } from '../key-order.ts';
import type {
  BucketSettings,
  CopyOutcome,
  CopyRequest,
  DeleteOutcome,
  DeleteRequest,
  ListedObject,
  ListPage,
  ObjectAttributes,
  ObjectHead,
  ObjectStore,
  ObjectTag,
  PutRequest,
  StoreCapabilities,
} from '../object-store.ts';
import { filesError } from './files-error.ts';

/** What is kept beside a file. */
interface Sidecar {
  readonly attributes: ObjectAttributes;
  readonly tags: readonly ObjectTag[];
}

const HIDDEN = '.longshore-';
const SIDECARS = `${HIDDEN}attributes`;
const LIST_LIMIT = 1000;
const NOTHING: Sidecar = { attributes: { metadata: {} }, tags: [] };

export class FilesStore implements ObjectStore {
  readonly kind = 'files';
  readonly name: string;
  readonly bucket: string;
  readonly #root: string;

  /** @param root an existing folder */
  constructor(root: string) {
    this.#root = root;
    this.bucket = root;
    this.name = `file://${root}`;
  }

  async list(request: {
    prefix: string;
    startAfter?: string | undefined;
    limit?: number | undefined;
  }): Promise<ListPage> {
    const limit = request.limit ?? LIST_LIMIT;
    const objects: ListedObject[] = [];
    for await (const key of this.#walk('', request.prefix, request.startAfter ?? '')) {
      if (objects.length === limit) return { objects, more: true };
      const stats = await this.#stats(key);
      if (stats === undefined) continue;
      objects.push({
        key,
        sizeBytes: stats.size,
        etag: etagOf(stats),
        lastModifiedMs: stats.mtimeMs,
        storageClass: 'STANDARD',
      });
    }
    return { objects, more: false };
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    const stats = await this.#stats(key);
    if (stats === undefined) return undefined;
    const { attributes, tags } = await this.#sidecar(key);
    return {
      key,
      sizeBytes: stats.size,
      etag: etagOf(stats),
      lastModifiedMs: stats.mtimeMs,
      attributes,
      checksums: [],
      tagCount: tags.length,
    };
  }

  async partLayout(): Promise<undefined> {
    return undefined;
  }

  async get(request: {
    key: string;
    etag?: string | undefined;
  }): Promise<{ head: ObjectHead; body: Readable } | undefined> {
    const head = await this.head(request.key);
    if (head === undefined || (request.etag !== undefined && head.etag !== request.etag)) return undefined;
    return { head, body: createReadStream(this.#path(request.key)) };
  }

  /** Written beside its place and linked there when whole: a crash leaves a hidden file and never half an object. */
  async put(request: PutRequest): Promise<CopyOutcome> {
    const md5 = createHash('md5');
    return this.#place(
      request.key,
      request,
      { attributes: request.attributes, tags: request.tags ?? [] },
      async (temporary) => {
        const file = await open(temporary, 'wx');
        try {
          let bytes = 0;
          const body = request.body instanceof Uint8Array ? Readable.from([request.body]) : request.body;
          for await (const chunk of body as AsyncIterable<Buffer>) {
            md5.update(chunk);
            bytes += chunk.byteLength;
            await file.writeFile(chunk);
          }
          if (bytes !== request.sizeBytes) {
            throw new LongshoreError(
              'STORE_UNAVAILABLE',
              `the body of ${request.key} is ${bytes} bytes and not the ${request.sizeBytes} announced`,
            );
          }
          await file.sync();
        } finally {
          await file.close();
        }
        return { how: 'stream', md5: () => md5.digest('hex') };
      },
    );
  }

  canCopyFrom(source: ObjectStore): boolean {
    return source instanceof FilesStore;
  }

  async copyFrom(source: ObjectStore, request: CopyRequest): Promise<CopyOutcome> {
    if (!(source instanceof FilesStore))
      throw new LongshoreError('STORE_UNSUPPORTED', `${this.name} cannot copy from ${source.name}`);
    const head = await source.head(request.sourceKey);
    if (head === undefined) return { kind: 'source-missing' };
    if (request.sourceEtag !== undefined && head.etag !== request.sourceEtag)
      return { kind: 'source-changed' };
    const sidecar = await source.#sidecar(request.sourceKey);
    const kept = request.keep.tags ? sidecar : { ...sidecar, tags: [] };
    return this.#place(request.targetKey, request, kept, async (temporary) => {
      await copyFile(source.#path(request.sourceKey), temporary, constants.COPYFILE_FICLONE);
      return { how: 'server', md5: undefined };
    });
  }

  async delete(requests: readonly DeleteRequest[]): Promise<DeleteOutcome[]> {
    const outcomes: DeleteOutcome[] = [];
    for (const { key, etag } of requests) {
      const stats = await this.#stats(key);
      if (stats !== undefined && etag !== undefined && etagOf(stats) !== etag) {
        outcomes.push({ kind: 'changed' });
        continue;
      }
      if (stats !== undefined) await this.#remove(key);
      outcomes.push({ kind: 'deleted' });
    }
    return outcomes;
  }

  async tags(key: string): Promise<ObjectTag[]> {
    return [...(await this.#sidecar(key)).tags];
  }

  /** Files have no grants to copy. */
  async copyAcl(): Promise<void> {}

  async capabilities(): Promise<StoreCapabilities> {
    return {
      conditionalCopy: true,
      conditionalCopySource: true,
      conditionalPut: true,
      conditionalDelete: 'none',
      serverSideCopy: true,
      partCopy: false,
      tags: true,
      acl: false,
      etag: 'opaque',
      checksums: false,
      listing: { bytewise: true, urlEncoding: 'none' },
    };
  }

  async settings(): Promise<BucketSettings> {
    return { versioning: 'off' };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Makes the file under a hidden name and puts it in its place: by a link, which fails where something is, or by a rename. */
  async #place(
    key: string,
    conditions: { readonly ifAbsent: boolean; readonly ifTargetEtag?: string | undefined },
    sidecar: Sidecar,
    make: (temporary: string) => Promise<{ how: 'server' | 'stream'; md5: (() => string) | undefined }>,
  ): Promise<CopyOutcome> {
    const path = this.#path(key);
    const temporary = join(dirname(path), `${HIDDEN}${randomUUID()}`);
    try {
      await mkdir(dirname(path), { recursive: true });
      const { how, md5 } = await make(temporary);
      if (conditions.ifTargetEtag !== undefined) {
        const now = await this.#stats(key);
        if (now === undefined || etagOf(now) !== conditions.ifTargetEtag) return { kind: 'target-exists' };
      }
      await this.#writeSidecar(key, sidecar, conditions.ifAbsent);
      if (conditions.ifAbsent) await link(temporary, path);
      else await rename(temporary, path);
      const stats = await lstat(path);
      return { kind: 'copied', etag: etagOf(stats), how, ...(md5 === undefined ? {} : { md5: md5() }) };
    } catch (error) {
      if (isCode(error, 'EEXIST')) return { kind: 'target-exists' };
      throw filesError(error, `write ${key}`, this.name);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async #remove(key: string): Promise<void> {
    try {
      await rm(this.#path(key));
      await rm(this.#sidecarPath(key), { force: true });
      // Folders exist only because of their files.
      for (let folder = dirname(key); folder !== '.'; folder = dirname(folder))
        await rmdir(join(this.#root, folder));
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTEMPTY') || isCode(error, 'EEXIST')) return;
      throw filesError(error, `delete ${key}`, this.name);
    }
  }

  async #writeSidecar(key: string, sidecar: Sidecar, ifAbsent: boolean): Promise<void> {
    const { attributes, tags } = sidecar;
    const empty =
      tags.length === 0 &&
      Object.keys(attributes).length === 1 &&
      Object.keys(attributes.metadata).length === 0;
    const path = this.#sidecarPath(key);
    if (ifAbsent && (await this.#stats(key)) !== undefined) return;
    if (empty) {
      await rm(path, { force: true });
      return;
    }
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, JSON.stringify(sidecar));
  }

  async #sidecar(key: string): Promise<Sidecar> {
    try {
      return JSON.parse(await readFile(this.#sidecarPath(key), 'utf8')) as Sidecar;
    } catch (error) {
      if (isCode(error, 'ENOENT')) return NOTHING;
      throw filesError(error, `read the attributes of ${key}`, this.name);
    }
  }

  #sidecarPath(key: string): string {
    return join(this.#root, SIDECARS, `${createHash('sha256').update(key).digest('hex')}.json`);
  }

  /** @throws OBJECT_FAILED for a key that cannot be the name of a file */
  #path(key: string): string {
    if (!isFileName(key)) {
      throw new LongshoreError('OBJECT_FAILED', `the key "${key}" cannot be the name of a file`, {
        hint: 'map it to another key by a rule, or exclude it',
      });
    }
    return join(this.#root, key);
  }

  async #stats(key: string): Promise<Stats | undefined> {
    if (!isFileName(key)) return undefined;
    try {
      const stats = await lstat(this.#path(key));
      return stats.isFile() ? stats : undefined;
    } catch (error) {
      if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR') || isCode(error, 'ENAMETOOLONG'))
        return undefined;
      throw filesError(error, `look at ${key}`, this.name);
    }
  }

  /** Keys in UTF-8 byte order; a folder sorts as its name with a slash behind it. */
  async *#walk(folder: string, prefix: string, startAfter: string): AsyncGenerator<string> {
    let entries: string[];
    try {
      const found = await readdir(join(this.#root, folder), { withFileTypes: true });
      entries = found
        .filter((entry) => !entry.name.startsWith(HIDDEN) && (entry.isFile() || entry.isDirectory()))
        .map((entry) => folder + entry.name + (entry.isDirectory() ? '/' : ''));
    } catch (error) {
      if (isCode(error, 'ENOENT') && folder !== '') return;
      throw filesError(error, 'list', this.name);
    }
    for (const key of entries.sort(compareKeys)) {
      if (!key.endsWith('/')) {
        if (key.startsWith(prefix) && compareKeys(key, startAfter) > 0) yield key;
        continue;
      }
      const mayHold = key.startsWith(prefix) || prefix.startsWith(key);
      const isOver = compareKeys(key, startAfter) < 0 && !startAfter.startsWith(key);
      if (mayHold && !isOver) yield* this.#walk(key, prefix, startAfter);
    }
  }
}

function isFileName(key: string): boolean {
  return (
    !key.includes('\0') &&
    key.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && !part.startsWith(HIDDEN))
  );
}

function etagOf(stats: Stats): string {
  return `${stats.ino}-${Math.round(stats.mtimeMs * 1000)}-${stats.size}`;
}

function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === code;
}
