/**
 * Copies from one server into another: what `COPY … TO STDOUT` sends goes to `COPY … FROM STDIN` as it is. The framing of
 * rows is the same in both directions, so the bytes are passed on without being looked at or copied; a target that is
 * slow stops the source. Reference: "COPY Operations" of the frontend/backend protocol.
 */

import type pg from 'pg';

export interface PipedCopy {
  /** That the target has taken. */
  readonly rows: number;
  /** That went through, with their framing. */
  readonly bytes: number;
}

/**
 * @param source does nothing else until this resolves
 * @param target as the source
 * @throws the error of the server that failed first, or the signal's reason; neither is to be used again then, and the
 * connection to the target is closed: it may be in the middle of a row
 */
export async function pipeCopy(
  source: { readonly client: pg.ClientBase; readonly text: string },
  target: { readonly client: pg.ClientBase; readonly text: string },
  signal: AbortSignal,
): Promise<PipedCopy> {
  signal.throwIfAborted();
  const into = new CopyInto(target.text);
  const from = new CopyFrom(source.text, into);
  const stop = (): void => {
    from.break(signal.reason);
    into.break(signal.reason);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    target.client.query(into as never);
    await into.started;
    source.client.query(from as never);
    into.done.catch((error: unknown) => from.break(error));
    await from.done;
    into.end();
    const rows = await into.done;
    if (rows !== from.rows) throw new Error(`the source sent ${from.rows} rows, and the target took ${rows}`);
    return { rows, bytes: from.bytes };
  } catch (error) {
    into.break(error);
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** `COPY 17` */
function rowsOf(tag: string): number {
  return Number(/\d+$/.exec(tag)?.[0] ?? 0);
}

/** The driver keeps its connection to itself; these parts of it are what its own copy streams use. */
interface Connection {
  readonly stream: NodeJS.ReadWriteStream & { destroy(): void };
  query(text: string): void;
  endCopyFrom(): void;
}

/** The target's side. */
class CopyInto {
  readonly started: Promise<void>;
  readonly done: Promise<number>;
  readonly #text: string;
  #connection: Connection | undefined;
  #open = false;
  #rows = 0;
  #start!: () => void;
  #finish!: (rows: number) => void;
  #fail!: (error: unknown) => void;

  constructor(text: string) {
    this.#text = text;
    this.done = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    const open = new Promise<void>((resolve) => {
      this.#start = resolve;
    });
    this.started = Promise.race([open, this.done.then(() => undefined)]);
    this.done.catch(() => undefined);
    this.started.catch(() => undefined);
  }

  /** @returns whether more may be written at once; else `onDrain` is called when it may */
  write(bytes: Buffer, onDrain: () => void): boolean {
    if (!this.#open) return true;
    const { stream } = this.#connection!;
    if (stream.write(bytes)) return true;
    stream.once('drain', onDrain);
    return false;
  }

  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#connection!.endCopyFrom();
  }

  break(error: unknown): void {
    this.#close(error);
    this.#connection?.stream.destroy();
  }

  // What the driver calls of a query.

  submit(connection: Connection): void {
    this.#connection = connection;
    connection.query(this.#text);
  }

  handleCopyInResponse(): void {
    this.#open = true;
    this.#start();
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#rows = rowsOf(text);
  }

  handleError(error: Error): void {
    this.#close(error);
  }

  handleReadyForQuery(): void {
    this.#finish(this.#rows);
  }

  #close(error: unknown): void {
    this.#open = false;
    this.#fail(error);
  }
}

type SocketListener = (chunk: Buffer) => void;

const COPY_DATA = 0x64;
const COPY_OUT_RESPONSE = 0x48;
const PARAMETER_STATUS = 0x53;
const NOTICE_RESPONSE = 0x4e;
const HEADER_BYTES = 5;
const INSIDE_A_COPY: ReadonlySet<number> = new Set([COPY_OUT_RESPONSE, PARAMETER_STATUS, NOTICE_RESPONSE]);

/** The source's side: while the copy lasts, the socket's data comes here instead of to the driver. */
class CopyFrom {
  readonly done: Promise<void>;
  bytes = 0;
  /** That the source says it has sent. */
  rows = 0;
  readonly #text: string;
  readonly #into: CopyInto;
  #connection: Connection | undefined;
  #driver: SocketListener | undefined;
  /** Of the message that is being passed on. */
  #left = 0;
  /** Of the message that is being passed over. */
  #skipped = 0;
  /** The beginning of a header that is not whole yet. */
  #rest: Buffer | undefined;
  #error: unknown;
  #finish!: () => void;
  #fail!: (error: unknown) => void;
  readonly #onChunk: SocketListener = (chunk) => this.#take(chunk);
  readonly #onDrain = (): void => {
    if (this.#driver !== undefined) this.#connection!.stream.resume();
  };

  constructor(text: string, into: CopyInto) {
    this.#text = text;
    this.#into = into;
    this.done = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    this.done.catch(() => undefined);
  }

  /** The rest of the copy is still on its way: the connection is closed. */
  break(error: unknown): void {
    if (this.#driver === undefined) return;
    this.#giveBack();
    this.#error ??= error;
    this.#fail(error);
    this.#connection!.stream.destroy();
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
    this.#error ??= error;
    this.#fail(error);
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.rows = rowsOf(text);
  }

  handleReadyForQuery(): void {
    if (this.#error === undefined) this.#finish();
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    let from = 0;
    let at = 0;
    while (at < bytes.byteLength) {
      const inside = Math.min(this.#left, bytes.byteLength - at);
      if (inside > 0) {
        this.#left -= inside;
        at += inside;
        continue;
      }
      if (this.#skipped > 0) {
        const skipped = Math.min(this.#skipped, bytes.byteLength - at);
        this.#skipped -= skipped;
        at += skipped;
        from = at;
        continue;
      }
      const code = bytes[at]!;
      const isCopy = code === COPY_DATA || INSIDE_A_COPY.has(code);
      if (!isCopy) {
        this.#pass(bytes, from, at);
        this.#giveBack(bytes.subarray(at));
        return;
      }
      if (at + HEADER_BYTES > bytes.byteLength) {
        this.#rest = bytes.subarray(at);
        break;
      }
      const length = bytes.readInt32BE(at + 1);
      if (code === COPY_DATA) {
        this.#left = length - 4;
        at += HEADER_BYTES;
      } else {
        this.#pass(bytes, from, at);
        this.#skipped = 1 + length;
        from = at;
      }
    }
    this.#pass(bytes, from, at);
  }

  #pass(bytes: Buffer, from: number, to: number): void {
    if (to <= from) return;
    this.bytes += to - from;
    if (!this.#into.write(bytes.subarray(from, to), this.#onDrain)) this.#connection!.stream.pause();
  }

  /** What follows is the driver's again. */
  #giveBack(rest?: Buffer): void {
    const driver = this.#driver;
    if (driver === undefined) return;
    this.#driver = undefined;
    const { stream } = this.#connection!;
    stream.removeListener('data', this.#onChunk);
    stream.on('data', driver);
    stream.resume();
    if (rest !== undefined) driver(rest);
  }
}
