/** Layers of an image: tar archives in gzip that are the same bytes for the same files, whenever and by whomever written. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip, createZstdDecompress } from 'node:zlib';
import { extract, type Header, type Pack, pack } from 'tar-stream';
import { LongshoreError } from '../../errors.ts';

export interface LayerFile {
  /** Below the root, with slashes and without one at the beginning. */
  readonly path: string;
  /** 0o644 where it is left out. */
  readonly mode?: number;
  readonly content: Buffer | { readonly file: string; readonly size: number } | 'folder';
}

/** The tar archive: sorted, with the folders above, of no time and of root. */
export async function* tarOf(files: readonly LayerFile[]): AsyncGenerator<Uint8Array> {
  const archive = pack();
  const filling = fill(archive, withFolders(files)).catch((error: Error) => {
    archive.destroy(error);
  });
  for await (const piece of archive) yield piece as Uint8Array;
  await filling;
}

/** In gzip, with a header that names no time and no system. */
export async function* gzipped(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // Most of an image is a program, which higher levels make a tenth smaller in twice the time.
  const gzip = createGzip({ level: 1 });
  const filling = pipeline(content, gzip).catch((error: Error) => {
    gzip.destroy(error);
  });
  let first = true;
  for await (const piece of gzip as AsyncIterable<Buffer>) {
    if (first) piece[OS_BYTE] = OS_UNKNOWN;
    first = false;
    yield piece;
  }
  await filling;
}

/** Of the header, RFC 1952. */
const OS_BYTE = 9;
const OS_UNKNOWN = 255;

/** The digest of the archive before it is compressed, which is the layer's name in an image's configuration. */
export async function diffIdOf(files: readonly LayerFile[]): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of tarOf(files)) hash.update(piece);
  return `sha256:${hash.digest('hex')}`;
}

/**
 * The files of a layer in memory, by their paths.
 *
 * @throws STORE_RESPONSE where it is not the one that `diffId` names, or has more than `bytesMax`
 */
export async function filesOfLayer(
  content: AsyncIterable<Uint8Array>,
  { diffId, bytesMax, what }: { diffId: string; bytesMax: number; what: string },
): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const hash = createHash('sha256');
  let bytes = 0;
  const archive = extract();
  const reading = pipeline(
    plain(content),
    async function* (pieces: AsyncIterable<Uint8Array>) {
      for await (const piece of pieces) {
        bytes += piece.length;
        if (bytes > bytesMax)
          throw new LongshoreError('STORE_RESPONSE', `${what} has more than ${bytesMax} bytes`);
        hash.update(piece);
        yield piece;
      }
    },
    archive,
  );
  const taking = (async () => {
    for await (const entry of archive) {
      const pieces: Buffer[] = [];
      for await (const piece of entry) pieces.push(piece as Buffer);
      const path = entry.header.name.replace(/^\.?\//, '');
      if (entry.header.type === 'file') files.set(path, Buffer.concat(pieces));
    }
  })();
  await Promise.all([reading, taking]);
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== diffId)
    throw new LongshoreError(
      'STORE_RESPONSE',
      `${what} is damaged: it unpacks to ${found}, not to ${diffId}`,
    );
  return files;
}

/** Whatever it was compressed with: whoever stores an image may do it again in another way. */
async function* plain(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const pieces = content[Symbol.asyncIterator]();
  const first = await pieces.next();
  const rest = (async function* () {
    if (first.done !== true) yield first.value;
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
  })();
  const magic = Buffer.from(first.done === true ? [] : first.value.subarray(0, 4)).toString('hex');
  const decoder = magic.startsWith('1f8b')
    ? createGunzip()
    : magic === '28b52ffd'
      ? createZstdDecompress()
      : undefined;
  if (decoder === undefined) {
    yield* rest;
    return;
  }
  const filling = pipeline(rest, decoder).catch((error: Error) => {
    decoder.destroy(error);
  });
  yield* decoder as AsyncIterable<Buffer>;
  await filling;
}

function withFolders(files: readonly LayerFile[]): LayerFile[] {
  const entries = new Map<string, LayerFile>();
  for (const file of files) {
    const parts = file.path.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join('/');
      if (!entries.has(path)) entries.set(path, { path, content: 'folder' });
    }
    entries.set(file.path, file);
  }
  return [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function fill(archive: Pack, files: readonly LayerFile[]): Promise<void> {
  for (const { path, mode, content } of files) {
    const header: Partial<Header> & { name: string } = {
      name: path,
      uid: 0,
      gid: 0,
      mtime: new Date(0),
      mode: mode ?? 0o644,
    };
    if (content === 'folder')
      await written((done) =>
        archive.entry({ ...header, name: `${path}/`, type: 'directory', mode: mode ?? 0o755 }, done),
      );
    else if (Buffer.isBuffer(content))
      await written((done) => archive.entry({ ...header, size: content.length }, content, done));
    else {
      const entry = archive.entry({ ...header, size: content.size });
      await pipeline(createReadStream(content.file), entry);
    }
  }
  archive.finalize();
}

function written(write: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) =>
    write((error) => {
      if (error) reject(error);
      else resolve();
    }),
  );
}
