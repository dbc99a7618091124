/**
 * Sends rows to `COPY … FROM STDIN` over a connection. Reference: "COPY Operations" of the frontend/backend protocol.
 */

import { once } from 'node:events';
import type pg from 'pg';

/** The driver keeps its connection to itself; these parts of it are what its own copy streams use. */
interface Connection {
  readonly stream: NodeJS.WritableStream;
  query(text: string): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
}

const COPY_DATA = 0x64;
const HEADER_BYTES = 5;

/**
 * Runs the statement and sends `data` as its rows, in pieces of any size; a server that is slow stops the reading.
 *
 * @param client does nothing else until this resolves; it may be used again also after an error
 * @returns how many rows the server has taken
 * @throws what `data` throws, with nothing copied; the error of the server
 */
export function copyIn(
  client: pg.ClientBase,
  text: string,
  data: AsyncIterable<string | Uint8Array>,
): Promise<number> {
  const copy = new CopyIn(text, data);
  client.query(copy as never);
  return copy.done;
}

class CopyIn {
  readonly done: Promise<number>;
  readonly #text: string;
  readonly #data: AsyncIterable<string | Uint8Array>;
  /** Aborted when the server has ended the copy: nobody waits for its socket any more. */
  readonly #ended = new AbortController();
  #sourceError: { readonly error: unknown } | undefined;
  #serverError: Error | undefined;
  #rows = 0;
  #finish!: (rows: number) => void;
  #fail!: (error: unknown) => void;

  constructor(text: string, data: AsyncIterable<string | Uint8Array>) {
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
        if (signal.aborted) return;
        if (!connection.stream.write(message(piece))) await once(connection.stream, 'drain', { signal });
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

function message(piece: string | Uint8Array): Buffer {
  const payload = typeof piece === 'string' ? Buffer.from(piece) : piece;
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.byteLength);
  bytes[0] = COPY_DATA;
  bytes.writeInt32BE(payload.byteLength + 4, 1);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
