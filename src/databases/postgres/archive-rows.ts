/** The rows of an archive of pg_dump as they stream by, in batches of whole rows that any connection may load. */

import { LongshoreError } from '../../errors.ts';
import { BufferPool } from '../../flow/buffer-pool.ts';
import { ArchiveBlocks } from './archive-blocks.ts';
import { type ArchiveContents, type ArchiveEntry, NotEnough, readContents } from './archive-contents.ts';
import { damaged } from './dump-content.ts';

/** Rows that one COPY takes; so many bytes of all batches together, as far as they stay large enough. */
const BATCH_BYTES_MAX = 8 * 1024 ** 2;
const BATCH_BYTES_MIN = 1024 ** 2;
const BATCHES_BYTES_MAX = 32 * 1024 ** 2;
/** Thousands of small tables come in one chunk: they cannot have a buffer each. */
const COPIED_BYTES_MAX = 64 * 1024;
/** What ends the rows of a table. */
const END = Buffer.from('\\.\n\n\n');
const NEWLINE = 0x0a;

export interface ArchiveHead {
  /** What was read, at least the table of contents. */
  readonly head: Buffer;
  /** Undefined where it cannot be read here. */
  readonly contents: ArchiveContents | undefined;
}

/** Reads as far as the table of contents goes. */
export async function readArchiveHead(chunks: AsyncIterator<Buffer>): Promise<ArchiveHead> {
  let head: Buffer = Buffer.alloc(0);
  for (let wanted = 1; ; wanted = head.byteLength * 2) {
    let ended = false;
    const pieces = [head];
    for (let bytes = head.byteLength; bytes < wanted && !ended; ) {
      const { value, done } = await chunks.next();
      if (done === true) ended = true;
      else {
        pieces.push(Buffer.from(value));
        bytes += value.byteLength;
      }
    }
    head = Buffer.concat(pieces);
    try {
      return { head, contents: readContents(head).contents };
    } catch (error) {
      if (error instanceof NotEnough && !ended) continue;
      if (error instanceof NotEnough || error instanceof LongshoreError) return { head, contents: undefined };
      throw error;
    }
  }
}

/** Rows of one table, as COPY reads its text form. */
export interface RowBatch extends Disposable {
  readonly entry: ArchiveEntry;
  /** Whether the table has no others. */
  readonly whole: boolean;
  readonly rows: Buffer;
}

/**
 * @param chunks of the whole archive
 * @param most batches that are used at the same time; each gives its memory back when it is disposed of
 * @throws DATABASE_FAILED for what is damaged
 */
export async function* readRowBatches(chunks: AsyncIterable<Buffer>, most: number): AsyncGenerator<RowBatch> {
  const gathered = new Gathered(most);
  const blocks = new ArchiveBlocks({
    onContents: () => undefined,
    onTable: (entry) => gathered.begin(entry),
    onRows: (bytes, from, to) => gathered.add(bytes, from, to),
    onTableEnd: () => gathered.end(),
  });
  for await (const chunk of chunks) {
    // One batch at a time goes on its way before more is read.
    for (let at = 0; at < chunk.byteLength; at += CHUNK_BYTES) {
      blocks.push(chunk.subarray(at, at + CHUNK_BYTES));
      yield* gathered.take();
    }
  }
  blocks.end();
  // A short archive is read at its end, when it is sure that its table of contents has all come.
  yield* gathered.take();
}

const CHUNK_BYTES = 1024 ** 2;

/** Rows are gathered here until there is a batch of them. */
class Gathered {
  readonly #pool: BufferPool;
  readonly #batches: RowBatch[] = [];
  #entry: ArchiveEntry | undefined;
  #buffer: Buffer;
  #used = 0;
  #isFirst = true;

  constructor(most: number) {
    const bytes = Math.max(BATCH_BYTES_MIN, Math.min(BATCH_BYTES_MAX, Math.floor(BATCHES_BYTES_MAX / most)));
    this.#pool = new BufferPool(bytes, most);
    this.#buffer = this.#pool.take();
  }

  take(): RowBatch[] {
    return this.#batches.splice(0);
  }

  begin(entry: ArchiveEntry): void {
    this.#entry = entry;
    this.#isFirst = true;
  }

  add(bytes: Buffer, from: number, to: number): void {
    if (this.#used + to - from > this.#buffer.byteLength) this.#pass(bytes.subarray(from, to));
    bytes.copy(this.#buffer, this.#used, from, to);
    this.#used += to - from;
  }

  end(): void {
    const rows = this.#used - END.byteLength;
    const isEnded =
      rows >= 0 &&
      this.#buffer.subarray(rows, this.#used).equals(END) &&
      (rows === 0 || this.#buffer[rows - 1] === NEWLINE);
    if (!isEnded) throw damaged('the rows of a table do not end');
    if (rows > 0) this.#emit(rows, this.#isFirst);
    this.#used = 0;
  }

  /** Makes room: all whole rows go, and what may be the end of the table stays. */
  #pass(more: Buffer): void {
    const sure = this.#buffer.subarray(0, Math.max(0, this.#used - END.byteLength));
    const end = sure.lastIndexOf(NEWLINE) + 1;
    const rest = Buffer.from(this.#buffer.subarray(end, this.#used));
    if (end > 0) this.#emit(end, false);
    // One row may be larger than a batch.
    const wanted = rest.byteLength + more.byteLength;
    if (wanted > this.#buffer.byteLength) this.#buffer = Buffer.allocUnsafeSlow(wanted * 2);
    rest.copy(this.#buffer);
    this.#used = rest.byteLength;
  }

  #emit(bytes: number, whole: boolean): void {
    const buffer = this.#buffer;
    const pool = this.#pool;
    const batch = { entry: this.#entry!, whole };
    this.#isFirst = false;
    if (bytes <= COPIED_BYTES_MAX && buffer.byteLength === pool.bufferBytes) {
      this.#batches.push({
        ...batch,
        rows: Buffer.from(buffer.subarray(0, bytes)),
        [Symbol.dispose]: () => undefined,
      });
      return;
    }
    this.#batches.push({
      ...batch,
      rows: buffer.subarray(0, bytes),
      [Symbol.dispose]: () => pool.give(buffer),
    });
    this.#buffer = pool.take();
  }
}
