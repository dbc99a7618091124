/** A file under construction and the SHA-256 of what is written to it. */

import { createHash } from 'node:crypto';
import { writevSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { diskError } from '../../flow/disk-error.ts';

export class HashedFile implements AsyncDisposable {
  readonly path: string;
  #handle: FileHandle | undefined;
  readonly #hash = createHash('sha256');

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Empties what is there. @throws JOURNAL_UNWRITABLE where the disk fails, as do all of its methods */
  static async open(path: string): Promise<HashedFile> {
    try {
      return new HashedFile(path, await open(path, 'w'));
    } catch (error) {
      throw diskError(error, 'make', path);
    }
  }

  /** Writes pieces behind what the file holds, all of them: a disk may take less at once than it was given. */
  async write(pieces: readonly Uint8Array[]): Promise<void> {
    let rest = this.#hashed(pieces);
    try {
      this.#handle ??= await open(this.path, 'a');
      while (rest.length > 0) rest = behind(rest, (await this.#handle.writev(rest)).bytesWritten);
    } catch (error) {
      throw diskError(error, 'write', this.path);
    }
  }

  /** The same, and it is done when it returns; not after {@link close}. For a thread that has nothing else to do. */
  writeSync(pieces: readonly Uint8Array[]): void {
    let rest = this.#hashed(pieces);
    try {
      while (rest.length > 0) rest = behind(rest, writevSync(this.#handle!.fd, rest));
    } catch (error) {
      throw diskError(error, 'write', this.path);
    }
  }

  /** The file is complete, and not durable: after a crash it is made again. @returns the hash, in hexadecimal */
  finish(): string {
    return this.#hash.digest('hex');
  }

  /** Until the next write: a process may have only so many files open. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #hashed(pieces: readonly Uint8Array[]): Uint8Array[] {
    for (const piece of pieces) this.#hash.update(piece);
    return pieces.filter(({ byteLength }) => byteLength > 0);
  }
}

/** What is left of pieces when so many bytes of them are written. */
function behind(pieces: readonly Uint8Array[], bytesWritten: number): Uint8Array[] {
  let written = bytesWritten;
  let whole = 0;
  while (whole < pieces.length && written >= pieces[whole]!.byteLength)
    written -= pieces[whole++]!.byteLength;
  const rest = pieces.slice(whole);
  if (written > 0) rest[0] = rest[0]!.subarray(written);
  return rest;
}
