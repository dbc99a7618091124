/**
 * A folder as an ObjectStore: keys are paths below it, in UTF-8.
 *
 * A key that cannot be a file's name (an empty, `.` or `..` part, a slash at the end, a NUL, a part that is too
 * long, a file where a folder is needed) fails on write and does not exist on read. Symbolic links are not followed,
 * neither to files nor to folders: they count as absent, and nothing outside the folder is read or written.
 *
 * What an object has besides its bytes is kept in a hidden folder (`sidecars.ts`). The ETag is opaque: inode, time
 * of the last change and size. Conditions on an absent target are the file system's own (`link`); conditions on an
 * ETag are compared right before the work, so another program may slip in between.
 */

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';
import { LongshoreError } from '../../errors.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import type {
  BucketSettings,
  CopyOutcome,
  CopyRequest,
  DeleteOutcome,
  DeleteRequest,
  ListPage,
  ObjectHead,
  ObjectStore,
  ObjectTag,
  PutRequest,
  StoreCapabilities,
} from '../object-store.ts';
import { etagOf, headOf, listedFile } from './file-facts.ts';
import { folderOf, isFileKey } from './file-keys.ts';
import { FileTree } from './file-tree.ts';
import { filesError } from './files-error.ts';
import { type OpenedFolder, placeFile } from './place-file.ts';
import { Sidecars } from './sidecars.ts';
import { walkFiles } from './walk.ts';

export class FilesStore implements ObjectStore {
  readonly kind = 'files';
  readonly name: string;
  readonly bucket: string;
  #opened: Promise<OpenedFolder> | undefined;

  /** @param folder exists, as a bucket does; it is looked for at the first call */
  constructor(folder: string) {
    this.bucket = folder;
    this.name = `file://${folder}`;
  }

  list(
    request: { prefix: string; startAfter?: string | undefined; limit?: number | undefined },
    signal?: AbortSignal,
  ): Promise<ListPage> {
    return this.#do('list', signal, async ({ tree }) => {
      const { prefix, limit = LIST_LIMIT } = request;
      const folder = folderOf(prefix);
      if (folder !== '' && (await tree.locate(`${folder}x`)) === undefined)
        return { objects: [], more: false };
      let startAfter = request.startAfter ?? '';
      for (;;) {
        const keys: string[] = [];
        let more = false;
        for await (const key of walkFiles(tree.root, folder, { prefix, startAfter })) {
          more = keys.length === limit;
          if (more) break;
          keys.push(key);
        }
        signal?.throwIfAborted();
        const found = await mapConcurrent(keys, FILES_CONCURRENT, (key) => listedFile(tree.root, key));
        const objects = found.filter((object) => object !== undefined);
        // What was deleted meanwhile is left out; a page that says "more" holds something.
        if (objects.length > 0 || !more) return { objects, more };
        startAfter = keys.at(-1)!;
      }
    });
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    return this.#do(`look at ${key}`, signal, async ({ tree, sidecars }) => {
      const stats = await tree.stats(key);
      return stats === undefined ? undefined : headOf(key, stats, await sidecars.read(key, stats));
    });
  }

  async partLayout(): Promise<undefined> {
    return undefined;
  }

  get(
    request: { key: string; etag?: string | undefined },
    signal?: AbortSignal,
  ): Promise<{ head: ObjectHead; body: Readable } | undefined> {
    const { key, etag } = request;
    return this.#do(`read ${key}`, signal, async ({ tree, sidecars }) => {
      const file = await tree.openFile(key);
      if (file === undefined) return undefined;
      let body: Readable | undefined;
      try {
        const stats = await file.stat({ bigint: true });
        if (!stats.isFile() || (etag !== undefined && etagOf(stats) !== etag)) return undefined;
        const head = headOf(key, stats, await sidecars.read(key, stats));
        if (head.sizeBytes === 0) return { head, body: Readable.from([]) };
        body = file.createReadStream({ start: 0, end: head.sizeBytes - 1 });
        return { head, body: signal === undefined ? body : addAbortSignal(signal, body) };
      } finally {
        if (body === undefined) await file.close();
      }
    });
  }

  put(request: PutRequest, signal?: AbortSignal): Promise<CopyOutcome> {
    const { key } = request;
    return this.#do(`write ${key}`, signal, async (opened) => {
      const { body: given, sizeBytes } = request;
      const sidecar = { attributes: request.attributes, tags: request.tags ?? [] };
      const checkSize = (bytes: number): true => {
        if (sizeBytes === undefined || bytes === sizeBytes) return true;
        const got = `${bytes} bytes and not the ${sizeBytes} announced`;
        throw new LongshoreError('STORE_UNAVAILABLE', `the body of ${key} is ${got}`, { context: { key } });
      };
      if ('path' in given) {
        const outcome = await placeFile(opened, key, request, sidecar, async (file, temporary) => {
          await copyFile(given.path, temporary, constants.COPYFILE_FICLONE);
          return checkSize((await file.stat()).size);
        });
        return outcome.kind === 'placed' ? { kind: 'copied', etag: outcome.etag, how: 'stream' } : outcome;
      }
      const md5 = createHash('md5');
      const body = given instanceof Uint8Array ? [given] : given;
      const outcome = await placeFile(opened, key, request, sidecar, async (file) => {
        let bytes = 0;
        for await (const chunk of body as AsyncIterable<Buffer>) {
          signal?.throwIfAborted();
          md5.update(chunk);
          bytes += chunk.byteLength;
          await file.writeFile(chunk);
        }
        return checkSize(bytes);
      });
      if (outcome.kind !== 'placed') return outcome;
      return { kind: 'copied', etag: outcome.etag, how: 'stream', md5: md5.digest('hex') };
    });
  }

  canCopyFrom(source: ObjectStore): boolean {
    return source instanceof FilesStore;
  }

  /** A copy by the file system, which shares the blocks where it can; compared with the source before and after. */
  async copyFrom(source: ObjectStore, request: CopyRequest, signal?: AbortSignal): Promise<CopyOutcome> {
    if (!(source instanceof FilesStore)) {
      throw new LongshoreError('STORE_UNSUPPORTED', `${this.name} cannot copy from ${source.name} by itself`);
    }
    const { sourceKey, sourceEtag, targetKey } = request;
    const head = await source.head(sourceKey, signal);
    if (head === undefined) return { kind: 'source-missing' };
    if (sourceEtag !== undefined && head.etag !== sourceEtag) return { kind: 'source-changed' };
    const tags = request.keep.tags ? await source.tags(sourceKey, signal) : [];
    const { tree } = await source.#open();
    return this.#do(`copy to ${targetKey}`, signal, async (opened) => {
      const sidecar = { attributes: { ...head.attributes, ...storageClassOf(request) }, tags };
      const outcome = await placeFile(opened, targetKey, request, sidecar, async (_, temporary) => {
        const path = await tree.locate(sourceKey);
        if (path === undefined) return false;
        await copyFile(path, temporary, constants.COPYFILE_FICLONE);
        const after = await tree.stats(sourceKey);
        return after !== undefined && etagOf(after) === head.etag;
      });
      return outcome.kind === 'placed' ? { kind: 'copied', etag: outcome.etag, how: 'server' } : outcome;
    });
  }

  delete(requests: readonly DeleteRequest[], signal?: AbortSignal): Promise<DeleteOutcome[]> {
    return this.#do('delete', signal, async (opened) => {
      const outcomes = await mapConcurrent(requests, FILES_CONCURRENT, (request) =>
        this.#deleteOne(opened, request, signal),
      );
      const folders = new Map(requests.map(({ key }) => [folderOf(key), key]));
      for (const key of folders.values()) if (isFileKey(key)) await opened.tree.sync(key);
      return outcomes;
    });
  }

  tags(key: string, signal?: AbortSignal): Promise<ObjectTag[]> {
    return this.#do(`read the tags of ${key}`, signal, async ({ tree, sidecars }) => {
      const stats = await tree.stats(key);
      if (stats !== undefined) return [...(await sidecars.read(key, stats)).tags];
      throw new LongshoreError('OBJECT_FAILED', `Cannot read the tags of ${key}: it does not exist`, {
        context: { key },
      });
    });
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

  settings(signal?: AbortSignal): Promise<BucketSettings> {
    return this.#do('look at the folder', signal, async () => ({ versioning: 'off' }));
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #open(): Promise<OpenedFolder> {
    this.#opened ??= FileTree.open(this.bucket).then(
      (tree) => ({ tree, sidecars: new Sidecars(tree.root) }),
      (error: unknown) => {
        this.#opened = undefined;
        throw filesError(error, 'open the folder', this.name);
      },
    );
    return this.#opened;
  }

  async #do<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: (opened: OpenedFolder) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const opened = await this.#open();
    try {
      return await work(opened);
    } catch (error) {
      throw filesError(error, what, this.name);
    }
  }

  async #deleteOne(
    { tree, sidecars }: OpenedFolder,
    { key, etag }: DeleteRequest,
    signal: AbortSignal | undefined,
  ): Promise<DeleteOutcome> {
    signal?.throwIfAborted();
    try {
      const stats = await tree.stats(key);
      if (stats === undefined) return { kind: etag === undefined ? 'deleted' : 'absent' };
      if (etag !== undefined && etagOf(stats) !== etag) return { kind: 'changed' };
      await rm(join(tree.root, key), { force: true });
      await sidecars.remove(key, stats);
      await tree.removeEmptyFolders(key);
      return { kind: 'deleted' };
    } catch (error) {
      const known = filesError(error, `delete ${key}`, this.name);
      if (!(known instanceof LongshoreError)) throw known;
      return { kind: 'failed', code: known.code, message: known.message };
    }
  }
}

const LIST_LIMIT = 1000;
const FILES_CONCURRENT = 16;

function storageClassOf({ storageClass }: CopyRequest): { storageClass?: string } {
  return storageClass === undefined || storageClass === 'STANDARD' ? {} : { storageClass };
}
