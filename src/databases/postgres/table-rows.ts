/** The rows that a COPY sends, as a stream of large pieces of text; each row is added to a digest while it passes. */

import { Readable } from 'node:stream';
import type pg from 'pg';
import { BufferPool, type PieceLender } from '../../flow/buffer-pool.ts';
import { RowDigest } from '../row-digest.ts';
import { CopyStream } from './copy-stream.ts';
import { type Doing, postgresError } from './errors.ts';

/** What comes behind has a cost for each piece. */
const PIECE_BYTES = 256 * 1024;
/** That wait for whoever reads. */
const PIECES_MAX = 2;

export interface RowsSource {
  /** Does nothing else until the rows are over. */
  readonly client: pg.ClientBase;
  /** A COPY to standard output, in text form. */
  readonly text: string;
  readonly doing: Doing;
  /** The client is free again; not called where the copy broke off. */
  readonly onEnd: () => void;
}

/** Ends when the server has said that the rows are over; destroying it before that closes the client's connection. */
export class TableRows extends Readable implements PieceLender {
  readonly digest = new RowDigest();
  readonly #source: RowsSource;
  readonly #signal: AbortSignal;
  readonly #stop = (): void => void this.destroy(this.#signal.reason as Error);
  #copy: CopyStream | undefined;
  readonly #pool = new BufferPool(PIECE_BYTES, PIECES_MAX);
  #piece = this.#pool.take();
  #used = 0;

  constructor(source: RowsSource, signal: AbortSignal) {
    // Pieces are passed on as they are: put together they would be others, and could not be given back.
    super({ objectMode: true, highWaterMark: PIECES_MAX });
    this.#source = source;
    this.#signal = signal;
    if (signal.aborted) this.#stop();
    else signal.addEventListener('abort', this.#stop, { once: true });
  }

  giveBack(piece: Uint8Array): void {
    this.#pool.give(piece);
  }

  override _read(): void {
    if (this.#copy !== undefined) {
      this.#copy.resume();
      return;
    }
    const { client, text, doing } = this.#source;
    this.#copy = CopyStream.start(client, text, (bytes, at, end) => this.#row(bytes, at, end));
    this.#copy.done.then(
      () => this.#finish(),
      (error: unknown) => this.destroy(postgresError(error, doing)),
    );
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#signal.removeEventListener('abort', this.#stop);
    // Nothing is left of one that is over.
    this.#copy?.break(error ?? new Error('its rows are not read any more'));
    callback(error);
  }

  #row(bytes: Buffer, at: number, end: number): void {
    // Each row comes as a message, with the end of its line.
    this.digest.add(bytes, at, end - 1);
    const length = end - at;
    if (this.#used + length > PIECE_BYTES) this.#flush();
    if (length > PIECE_BYTES) {
      this.#pass(Buffer.from(bytes.subarray(at, end)));
      return;
    }
    bytes.copy(this.#piece, this.#used, at, end);
    this.#used += length;
  }

  #flush(): void {
    if (this.#used === 0) return;
    const piece = this.#piece.subarray(0, this.#used);
    this.#piece = this.#pool.take();
    this.#used = 0;
    this.#pass(piece);
  }

  #pass(piece: Buffer): void {
    if (!this.push(piece)) this.#copy?.pause();
  }

  #finish(): void {
    if (this.destroyed) return;
    // The connection is another's from here on, and must not be paused.
    this.#copy = undefined;
    this.#flush();
    this.#source.onEnd();
    this.push(null);
  }
}
