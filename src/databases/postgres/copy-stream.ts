/**
 * Copy data, as it comes over a connection: of `COPY … TO STDOUT`, and of `START_REPLICATION`, where data goes both
 * ways. The messages are cut on the bytes of the socket, without an object for each.
 *
 * While the copy lasts, the socket's data goes here instead of to the driver; its end, or an error, goes to the
 * driver again. Reference: "Message Formats" of the frontend/backend protocol.
 */

import type pg from 'pg';

/** Called for the payload of each message of copy data: the bytes from `at` up to `end`, good until {@link OnBlockEnd}. */
export type OnCopyData = (bytes: Buffer, at: number, end: number) => void;
/** Called when the bytes that were given since the last call are good no longer; before the copy is done. */
export type OnBlockEnd = () => void;

type SocketListener = (chunk: Buffer) => void;
/** The driver keeps its connection to itself; these parts of it are what its own copy streams use. */
interface Connection {
  readonly stream: NodeJS.ReadWriteStream;
  query(text: string): void;
}

const COPY_DATA = 0x64;
const COPY_DONE = 0x63;
const COPY_OUT_RESPONSE = 0x48;
const COPY_BOTH_RESPONSE = 0x57;
const ERROR_RESPONSE = 0x45;
const PARAMETER_STATUS = 0x53;
const NOTICE_RESPONSE = 0x4e;
const HEADER_BYTES = 5;

export class CopyStream {
  /** Resolves when the server has ended the copy and the connection may be used again. */
  readonly done: Promise<void>;
  /** Resolves when the server has begun it; of no meaning once `done` is rejected. */
  readonly started: Promise<void>;
  readonly #text: string;
  readonly #onData: OnCopyData;
  readonly #onBlockEnd: OnBlockEnd;
  #connection: Connection | undefined;
  #driver: SocketListener | undefined;
  /** Pieces of a message that is not whole yet, and how many bytes it takes until more is known. */
  #pieces: Buffer[] = [];
  #piecesBytes = 0;
  #wanted = 0;
  #error: Error | undefined;
  #finish!: () => void;
  #fail!: (error: Error) => void;
  #begin!: () => void;
  readonly #onChunk: SocketListener = (chunk) => this.#take(chunk);

  constructor(text: string, onData: OnCopyData, onBlockEnd: OnBlockEnd = () => undefined) {
    this.#text = text;
    this.#onData = onData;
    this.#onBlockEnd = onBlockEnd;
    this.done = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    this.done.catch(() => undefined);
    this.started = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  /** Starts the copy on a connection that does nothing else until `done`. */
  static start(client: pg.ClientBase, text: string, onData: OnCopyData, onBlockEnd?: OnBlockEnd): CopyStream {
    const stream = new CopyStream(text, onData, onBlockEnd);
    client.query(stream as never);
    return stream;
  }

  /** Stops reading from the socket, so that the server is stopped too. */
  pause(): void {
    this.#connection?.stream.pause();
  }

  resume(): void {
    if (this.#driver !== undefined) this.#connection?.stream.resume();
  }

  /** Sends one message of copy data; only where data goes both ways. */
  send(payload: Buffer): void {
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header[0] = COPY_DATA;
    header.writeInt32BE(payload.byteLength + 4, 1);
    this.#connection?.stream.write(Buffer.concat([header, payload]));
  }

  /** Tells the server that no more is wanted; only where data goes both ways. */
  end(): void {
    this.#connection?.stream.write(Buffer.from([COPY_DONE, 0, 0, 0, 4]));
  }

  /** Ends the copy with an error. The connection cannot be used again: the rest of the copy is still on its way. */
  break(error: Error): void {
    this.#error = error;
    this.#fail(error);
    (this.#connection?.stream as { destroy?: () => void } | undefined)?.destroy?.();
  }

  // What the driver calls of a query.

  submit(connection: Connection): void {
    this.#connection = connection;
    const [driver] = connection.stream.listeners('data') as SocketListener[];
    this.#driver = driver!;
    connection.stream.removeListener('data', driver!);
    connection.stream.on('data', this.#onChunk);
    connection.query(this.#text);
  }

  handleError(error: Error): void {
    this.#giveBack();
    this.#error = error;
    this.#fail(error);
  }

  handleCommandComplete(): void {}

  /** What a WAL sender still had on its way when it was told to stop. */
  handleCopyData(): void {}

  handleReadyForQuery(): void {
    if (this.#error === undefined) this.#finish();
  }

  #take(chunk: Buffer): void {
    let others: Buffer | undefined;
    try {
      others = this.#pieces.length === 0 ? this.#messages(chunk, 0) : this.#complete(chunk);
      this.#onBlockEnd();
    } catch (error) {
      this.break(error as Error);
      return;
    }
    if (others !== undefined) this.#giveBack(others);
  }

  /** Takes a chunk that goes on with a message which was begun. @returns as {@link #messages} */
  #complete(chunk: Buffer): Buffer | undefined {
    const missing = this.#wanted - this.#piecesBytes;
    this.#pieces.push(chunk);
    this.#piecesBytes += chunk.byteLength;
    if (missing > chunk.byteLength) return undefined;
    const pieces = this.#pieces;
    const isData = pieces[0]![0] === COPY_DATA && this.#wanted > HEADER_BYTES;
    this.#pieces = [];
    if (!isData) return this.#messages(Buffer.concat(pieces, this.#piecesBytes), 0);
    // The message that was begun is made whole alone; what follows is read where it lies.
    this.#onData(Buffer.concat(pieces, this.#wanted), HEADER_BYTES, this.#wanted);
    return this.#messages(chunk, missing);
  }

  /** Takes the messages of a chunk, and keeps what is not whole. @returns what is no more of the copy */
  #messages(bytes: Buffer, from: number): Buffer | undefined {
    let at = from;
    while (at + HEADER_BYTES <= bytes.byteLength) {
      const code = bytes[at]!;
      // As readInt32BE does it, without its checks: this is run for every row.
      const end =
        at + 1 + ((bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!);
      if (code === COPY_DATA) {
        if (end > bytes.byteLength) break;
        this.#onData(bytes, at + HEADER_BYTES, end);
      } else if (code === ERROR_RESPONSE || !INSIDE_A_COPY.has(code)) {
        return bytes.subarray(at);
      } else {
        if (end > bytes.byteLength) break;
        if (code === COPY_OUT_RESPONSE || code === COPY_BOTH_RESPONSE) this.#begin();
      }
      at = end;
    }
    if (at === bytes.byteLength) return undefined;
    const rest = bytes.subarray(at);
    this.#pieces = [rest];
    this.#piecesBytes = rest.byteLength;
    this.#wanted = rest.byteLength < HEADER_BYTES ? HEADER_BYTES : 1 + rest.readInt32BE(1);
    return undefined;
  }

  /** What follows is the driver's again. */
  #giveBack(others?: Buffer): void {
    const driver = this.#driver;
    if (driver === undefined) return;
    this.#driver = undefined;
    const stream = this.#connection!.stream;
    stream.removeListener('data', this.#onChunk);
    stream.on('data', driver);
    stream.resume();
    if (others !== undefined) driver(withoutCopyDone(others));
  }
}

const INSIDE_A_COPY: ReadonlySet<number> = new Set([
  COPY_OUT_RESPONSE,
  COPY_BOTH_RESPONSE,
  PARAMETER_STATUS,
  NOTICE_RESPONSE,
]);

/** The driver has no use for the message that ends the data. */
function withoutCopyDone(bytes: Buffer): Buffer {
  return bytes[0] === COPY_DONE ? bytes.subarray(HEADER_BYTES) : bytes;
}
