/**
 * Client programs of databases as children: their output is over only when they have ended well. A stream that ends
 * because its program died looks like one that is whole, so that nothing may be believed before both are known.
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { LongshoreError, messageOf } from '../errors.ts';

export interface ProgramCall {
  readonly path: string;
  readonly args: readonly string[];
  /** All that it gets: nothing of ours is passed on. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A verb with its object, for errors: `dump shop`. */
  readonly action: string;
}

/** Looks at a dump while it passes. */
export interface DumpReader {
  push(chunk: Buffer): void;
  /** @throws where the dump is not whole */
  end(): void;
}

/** Small writes of the program are put together: what comes behind has a cost for each piece. */
const PIECE_BYTES = 256 * 1024;
const KILL_AFTER_MS = 5_000;

/**
 * What a program writes. The stream ends when the program has closed with code 0 and the reader has seen the end;
 * otherwise it is destroyed with DATABASE_FAILED, which holds the last of what the program said. Destroying it kills the
 * program, and waits for it.
 */
export function programOutput(call: ProgramCall, reader: DumpReader, signal: AbortSignal): Readable {
  return new ProgramOutput(call, reader, signal);
}

/**
 * Runs a program to its end, with a stream as its input.
 * @returns what it wrote to standard output, its last part
 * @throws DATABASE_FAILED where it does not end with code 0; what the input fails with
 */
export async function runProgram(
  call: ProgramCall,
  signal: AbortSignal,
  input?: AsyncIterable<Buffer>,
): Promise<string> {
  signal.throwIfAborted();
  const child = start(call, input !== undefined);
  const said = lastOf(child.stderr);
  const written = lastOf(child.stdout);
  const kill = killer(child);
  signal.addEventListener('abort', kill, { once: true });
  let broken: { readonly error: unknown } | undefined;
  const fed =
    input === undefined
      ? Promise.resolve()
      : pipeline(input, child.stdin as Writable).catch((error: unknown) => {
          // A program that does not read on has ended for a reason of its own.
          if (!GONE.has((error as NodeJS.ErrnoException).code ?? '')) {
            broken = { error };
            kill();
          }
        });
  try {
    const failure = await endOf(child, call, said);
    await fed;
    signal.throwIfAborted();
    if (broken !== undefined) throw broken.error;
    if (failure !== undefined) throw failure;
    return written();
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

const GONE: ReadonlySet<string> = new Set(['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE']);

type Child = ChildProcessByStdio<Writable | null, Readable, Readable>;

function start({ path, args, env }: ProgramCall, withInput: boolean): Child {
  return spawn(path, [...args], {
    env,
    stdio: [withInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  }) as unknown as Child;
}

/** Resolves when the program and its pipes are closed. @returns why it failed, if it did */
function endOf(
  child: Child,
  { path, action }: ProgramCall,
  said: () => string,
): Promise<LongshoreError | undefined> {
  return new Promise((resolve) => {
    child.once('error', (error) =>
      resolve(
        new LongshoreError('DATABASE_FAILED', `cannot ${action}: ${path} does not run: ${messageOf(error)}`, {
          cause: error,
        }),
      ),
    );
    child.once('close', (code, signal) => {
      if (code === 0) {
        resolve(undefined);
        return;
      }
      const end = signal === null ? `ended with code ${code}` : `was killed by ${signal}`;
      const why = said().trim();
      resolve(
        new LongshoreError(
          'DATABASE_FAILED',
          `cannot ${action}: ${nameOf(path)} ${end}${why === '' ? '' : `: ${why}`}`,
        ),
      );
    });
  });
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The end of what comes, whole lines as far as there are. */
function lastOf(stream: Readable): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-LAST_CHARACTERS);
  });
  return () => (text.length < LAST_CHARACTERS ? text : text.slice(text.indexOf('\n') + 1));
}

const LAST_CHARACTERS = 2_000;

/** Asks it to end, then ends it. */
function killer(child: Child): () => void {
  return () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    timer.unref();
    child.once('close', () => clearTimeout(timer));
  };
}

class ProgramOutput extends Readable {
  readonly #call: ProgramCall;
  readonly #reader: DumpReader;
  readonly #signal: AbortSignal;
  readonly #stop = (): void => void this.destroy(this.#signal.reason as Error);
  #child: Child | undefined;
  #ended: Promise<LongshoreError | undefined> | undefined;
  #pieces: Buffer[] = [];
  #piecesBytes = 0;

  constructor(call: ProgramCall, reader: DumpReader, signal: AbortSignal) {
    super({ highWaterMark: 2 * PIECE_BYTES });
    this.#call = call;
    this.#reader = reader;
    this.#signal = signal;
  }

  override _construct(callback: (error?: Error) => void): void {
    if (this.#signal.aborted) {
      callback(this.#signal.reason as Error);
      return;
    }
    this.#signal.addEventListener('abort', this.#stop, { once: true });
    const child = start(this.#call, false);
    this.#child = child;
    this.#ended = endOf(child, this.#call, lastOf(child.stderr));
    child.stdout.on('data', (chunk: Buffer) => this.#take(chunk));
    child.stdout.once('error', (error) => this.destroy(error));
    void this.#ended.then((failure) => this.#finish(failure));
    callback();
  }

  override _read(): void {
    this.#child?.stdout.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#signal.removeEventListener('abort', this.#stop);
    const child = this.#child;
    if (child === undefined) {
      callback(error);
      return;
    }
    killer(child)();
    // What it still writes is read by nobody, and would keep it from closing.
    child.stdout.removeAllListeners('data').resume();
    void this.#ended!.then(() => callback(error));
  }

  #take(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    this.#pieces.push(chunk);
    this.#piecesBytes += chunk.byteLength;
    if (this.#piecesBytes >= PIECE_BYTES && !this.#flush()) this.#child!.stdout.pause();
  }

  #flush(): boolean {
    const bytes =
      this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces, this.#piecesBytes);
    this.#pieces = [];
    this.#piecesBytes = 0;
    return this.push(bytes);
  }

  #finish(failure: LongshoreError | undefined): void {
    if (this.destroyed) return;
    if (failure !== undefined) {
      this.destroy(failure);
      return;
    }
    try {
      this.#reader.end();
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    if (this.#piecesBytes > 0) this.#flush();
    this.push(null);
  }
}
