/**
 * Sends rows to `COPY … FROM STDIN` over a connection. Reference: "COPY Operations" of the frontend/backend protocol.
 */

import { once } from 'node:events';
import type { Writable } from 'node:stream';
import type pg from 'pg';

/** The driver keeps its connection to itself; these parts of it are what its own copy streams use. */
interface Connection {
  readonly stream: Writable;
  query(text: string): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
}

type CopyData = AsyncIterable<string | Uint8Array> | Iterable<Uint8Array>;

const COPY_DATA = 0x64;
const HEADER_BYTES = 5;
/** The server takes a message when all of it is there. */
const MESSAGE_BYTES_MAX = 256 * 1024;

/**
 * Runs the statement and sends `data` as its rows, in pieces of any size, which are sent from where they lie; a server that
 * is slow stops the reading.
 *
 * @param client does nothing else until this resolves; it may be used again also after an error
 * @returns how many rows the server has taken
 * @throws what `data` throws, with nothing copied; the error of the server
 */
export function copyIn(client: pg.ClientBase, text: string, data: CopyData): Promise<number> {
  const copy = new CopyIn(text, data);
  client.query(copy as never);
  return copy.done;
}

class CopyIn {
  readonly done: Promise<number>;
  readonly #text: string;
  readonly #data: CopyData;
  /** Aborted when the server has ended the copy: nobody waits for its socket any more. */
  readonly #ended = new AbortController();
  #sourceError: { readonly error: unknown } | undefined;
  #serverError: Error | undefined;
  #rows = 0;
  #finish!: (rows: number) => void;
  #fail!: (error: unknown) => void;

  constructor(text: string, data: CopyData) {
    this.#text = text;
    this.#data = data;
    this.done = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
  }

  // What the driver calls of a query.

  submit(connection: Connection): void {
    connection.query(this.#text);
  }

  handleCopyInResponse(connection: Connection): void {
    void this.#send(connection);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#rows = Number(/\d+$/.exec(text)?.[0] ?? 0);
  }

  handleError(error: Error): void {
    this.#serverError = error;
    this.#ended.abort();
    // What the source threw is why the server was told to fail.
    this.#fail(this.#sourceError === undefined ? error : this.#sourceError.error);
  }

  handleReadyForQuery(): void {
    this.#ended.abort();
    if (this.#serverError === undefined) this.#finish(this.#rows);
  }

  async #send(connection: Connection): Promise<void> {
    const { signal } = this.#ended;
    try {
      for await (const piece of this.#data) {
        const payload = typeof piece === 'string' ? Buffer.from(piece) : piece;
        for (let at = 0; at < payload.byteLength; at += MESSAGE_BYTES_MAX) {
          if (signal.aborted) return;
          const isTaken = write(connection.stream, payload.subarray(at, at + MESSAGE_BYTES_MAX));
          if (!isTaken) await once(connection.stream, 'drain', { signal });
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#sourceError = { error };
      connection.sendCopyFail('its source broke off');
      return;
    }
    if (!signal.aborted) connection.endCopyFrom();
  }
}

/** One message of copy data, whose payload is sent from where it lies. @returns whether more can be taken at once */
function write(stream: Writable, payload: Uint8Array): boolean {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header[0] = COPY_DATA;
  header.writeInt32BE(payload.byteLength + 4, 1);
  stream.cork();
  stream.write(header);
  const isTaken = stream.write(payload);
  stream.uncork();
  return isTaken;
}
