/** A file under construction and the SHA-256 of what is written to it. */

import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { diskError } from './disk-error.ts';

export class HashedFile implements AsyncDisposable {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Empties what is there. @throws JOURNAL_UNWRITABLE where the disk fails, as do all of its methods */
  static async open(path: string): Promise<HashedFile> {
    return new HashedFile(path, await tried('make', path, () => open(path, 'w')));
  }

  /** Writes pieces behind what the file holds, all of them: a disk may take less at once than it was given. */
  async write(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) this.#hash.update(piece);
    let rest = pieces.filter(({ byteLength }) => byteLength > 0);
    while (rest.length > 0) {
      const all = rest;
      let { bytesWritten } = await tried('write', this.path, () => this.#handle.writev(all));
      let whole = 0;
      while (whole < rest.length && bytesWritten >= rest[whole]!.byteLength) {
        bytesWritten -= rest[whole++]!.byteLength;
      }
      rest = rest.slice(whole);
      if (bytesWritten > 0) rest = [rest[0]!.subarray(bytesWritten), ...rest.slice(1)];
    }
  }

  /** Makes the file durable. @returns the hash, in hexadecimal */
  async finish(): Promise<string> {
    await tried('write', this.path, () => this.#handle.sync());
    return this.#hash.digest('hex');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

async function tried<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw diskError(error, action, path);
  }
}
