/**
 * Takes an archive of pg_dump in its custom form (`--format=custom --compress=0`) apart while it passes: its table of
 * contents, then a block of data for each table. Reference: `pg_backup_archiver.c` and `pg_backup_custom.c` of PostgreSQL.
 */

import { type ArchiveContents, type ArchiveEntry, NotEnough, readContents } from './archive-contents.ts';
import { damaged } from './dump-content.ts';

const BLOCK_DATA = 1;
const BLOCK_LARGE_OBJECTS = 3;
/** A sign and four bytes. */
const INTEGER_BYTES = 5;

type State =
  /** The kind of a block and what it is of. */
  | 'block'
  /** The length of the next piece of rows; 0 ends the block. */
  | 'rows'
  /** The number of the next large object; 0 ends the block. */
  | 'objects'
  /** The length of the next piece of a large object; 0 ends it. */
  | 'object';

export interface ArchiveListener {
  onContents(contents: ArchiveContents): void;
  /** The rows of a table begin. */
  onTable(entry: ArchiveEntry): void;
  /** Bytes of them, as COPY writes its text form; good until this returns. */
  onRows(bytes: Buffer, from: number, to: number): void;
  onTableEnd(): void;
}

export class ArchiveBlocks {
  readonly #listener: ArchiveListener;
  #contents: ArchiveContents | undefined;
  /** What has come of something that is not whole yet: the table of contents, or a header. */
  #begun: Buffer | undefined;
  /** So many bytes have to be there before the table of contents is looked at again. */
  #wanted = 0;
  #state: State = 'block';
  /** Bytes of the piece that is passing. */
  #left = 0;

  constructor(listener: ArchiveListener) {
    this.#listener = listener;
  }

  /** @param chunk good until this returns @throws DATABASE_FAILED for what is damaged */
  push(chunk: Buffer): void {
    let bytes = this.#begun === undefined ? chunk : Buffer.concat([this.#begun, chunk]);
    this.#begun = undefined;
    let at = 0;
    if (this.#contents === undefined) {
      const read = bytes.byteLength < this.#wanted ? undefined : this.#readContents(bytes);
      if (read === undefined) {
        this.#begun = bytes === chunk ? Buffer.from(chunk) : bytes;
        return;
      }
      at = read;
    }
    while (at < bytes.byteLength) {
      if (this.#left > 0) {
        const to = Math.min(at + this.#left, bytes.byteLength);
        if (this.#state === 'rows') this.#listener.onRows(bytes, at, to);
        this.#left -= to - at;
        at = to;
        continue;
      }
      const next = this.#header(bytes, at);
      if (next === undefined) {
        bytes = bytes.subarray(at);
        // The chunk itself is not kept for a few bytes of it.
        this.#begun = Buffer.from(bytes);
        return;
      }
      at = next;
    }
  }

  /** @throws DATABASE_FAILED where something is missing */
  end(): void {
    if (this.#contents === undefined && this.#begun !== undefined) {
      // All that comes is there, though it may be less than was waited for.
      this.#wanted = 0;
      this.push(Buffer.alloc(0));
    }
    if (this.#contents === undefined) throw damaged('its table of contents does not end');
    if (this.#begun !== undefined || this.#left > 0 || this.#state !== 'block')
      throw damaged('it ends inside of a block of data');
    const [missing] = this.#contents.unseen();
    if (missing !== undefined) throw damaged(`the data of ${missing} is not in it`);
  }

  /** @returns where it ends; undefined where more has to come */
  #readContents(bytes: Buffer): number | undefined {
    try {
      const { contents, end } = readContents(bytes);
      this.#contents = contents;
      this.#listener.onContents(contents);
      return end;
    } catch (error) {
      if (!(error instanceof NotEnough)) throw error;
      this.#wanted = bytes.byteLength * 2;
      return undefined;
    }
  }

  /** @returns where it ends; undefined where it is not whole */
  #header(bytes: Buffer, at: number): number | undefined {
    const state = this.#state;
    const start = state === 'block' ? at + 1 : at;
    if (start + INTEGER_BYTES > bytes.byteLength) return undefined;
    const number = integerAt(bytes, start);
    const end = start + INTEGER_BYTES;
    if (state === 'block') this.#begin(bytes[at]!, number);
    else if (state === 'objects') this.#state = number === 0 ? 'block' : 'object';
    else if (number > 0) this.#left = number;
    else if (number < 0) throw damaged('a piece of it has no length');
    else if (state === 'object') this.#state = 'objects';
    else {
      this.#state = 'block';
      this.#listener.onTableEnd();
    }
    return end;
  }

  #begin(kind: number, id: number): void {
    const entry = this.#contents!.see(id);
    if (entry === undefined)
      throw damaged(`it has data of number ${id}, which is not in its table of contents`);
    if (kind === BLOCK_LARGE_OBJECTS) {
      this.#state = 'objects';
      return;
    }
    if (kind !== BLOCK_DATA) throw damaged(`it has a block of the kind ${kind}`);
    this.#state = 'rows';
    this.#listener.onTable(entry);
  }
}

function integerAt(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at + 1);
  return bytes[at] === 0 ? value : -value;
}
