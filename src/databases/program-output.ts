/** The output of a program as a stream that ends only when the program did its work, and otherwise fails. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import { LongshoreError, messageOf } from '../errors.ts';
import { BufferPool, type PieceLender } from '../flow/buffer-pool.ts';
import { openProgramPipe, type ProgramPipe } from './program-pipe.ts';

/** How a program ended. */
export interface ProgramEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it wrote to standard error. */
  readonly said: string;
}

export interface ProgramOutput {
  readonly path: string;
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** Sees every chunk before it goes on; its bytes are good until this returns. */
  passing(chunk: Buffer): void;
  /**
   * Asked when the program has ended and all of its output has passed.
   * @returns why it did not do its work; undefined where it did
   */
  failure(end: ProgramEnd): Error | undefined;
  /** Once, when the program is gone. */
  cleanUp(): void;
}

const KILL_AFTER_MS = 5000;
const SAID_CHARACTERS = 4000;
/** What comes behind has a cost for each piece. */
const PIECE_BYTES = 1024 ** 2;
/** A piece with less room is passed on. */
const ROOM_BYTES_MIN = 64 * 1024;
/** That wait for whoever reads. */
const PIECES_MAX = 4;

/**
 * Destroying the stream, or aborting, ends the program; the stream is closed when it is gone. Its pieces are buffers of a
 * megabyte at most.
 */
export function programOutput(program: ProgramOutput): Readable & PieceLender {
  return new ProgramStream(program);
}

class ProgramStream extends Readable implements PieceLender {
  readonly #program: ProgramOutput;
  readonly #pool = new BufferPool(PIECE_BYTES, PIECES_MAX);
  readonly #abort = (): void => void this.destroy(asError(this.#program.signal.reason));
  #piece = this.#pool.take();
  #used = 0;
  #pipe: ProgramPipe | undefined;
  #child: ChildProcess | undefined;
  /** When the program is. */
  #gone: Promise<void> | undefined;

  constructor(program: ProgramOutput) {
    // Pieces are passed on as they are: put together they would be others, and could not be given back.
    super({ objectMode: true, highWaterMark: PIECES_MAX });
    this.#program = program;
    // It may be stopped before anyone reads; whoever does is told.
    this.on('error', () => undefined);
    const { signal } = program;
    signal.addEventListener('abort', this.#abort, { once: true });
    if (signal.aborted) this.#abort();
  }

  giveBack(piece: Uint8Array): void {
    this.#pool.give(piece);
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#start().then(
      () => callback(),
      (error: unknown) => callback(asError(error)),
    );
  }

  override _read(): void {
    this.#pipe?.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const { signal, cleanUp } = this.#program;
    signal.removeEventListener('abort', this.#abort);
    this.#pipe?.destroy();
    const ended = this.#child === undefined ? Promise.resolve() : endProgram(this.#child, this.#gone!);
    ended.then(cleanUp).then(() => callback(error), callback);
  }

  async #start(): Promise<void> {
    this.#pipe = await openProgramPipe({
      room: () => this.#piece.subarray(this.#used),
      took: (bytes) => this.#take(bytes),
    });
    if (this.destroyed) return;
    const [path, ...flags] = withLargeWrites(this.#program.path, this.#program.flags);
    const { env } = this.#program;
    let child: ChildProcess;
    try {
      child = spawn(path, flags, { env, stdio: ['ignore', this.#pipe.output, 'pipe'] });
    } catch (error) {
      throw notRun(this.#program.path, error);
    }
    this.#child = child;
    this.#gone = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    const said = tailOf(child);
    const closed = new Promise<Pick<ProgramEnd, 'code' | 'signal'>>((resolve, reject) => {
      child.once('error', (error) => reject(notRun(this.#program.path, error)));
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    const all = Promise.all([closed, this.#pipe.started(child)]);
    all.then(
      ([end]) => this.#end({ ...end, said: said() }),
      (error: unknown) => this.destroy(asError(error)),
    );
  }

  /** @returns whether more can be taken */
  #take(bytes: number): boolean {
    const from = this.#used;
    this.#used += bytes;
    try {
      this.#program.passing(this.#piece.subarray(from, this.#used));
    } catch (error) {
      this.destroy(asError(error));
      return false;
    }
    return PIECE_BYTES - this.#used >= ROOM_BYTES_MIN || this.#flush();
  }

  #flush(): boolean {
    const piece = this.#piece.subarray(0, this.#used);
    this.#piece = this.#pool.take();
    this.#used = 0;
    return this.push(piece);
  }

  /** The program has ended, and all of its output has passed. */
  #end(end: ProgramEnd): void {
    if (this.destroyed) return;
    try {
      const failure = this.#program.failure(end);
      if (failure !== undefined) {
        this.destroy(failure);
        return;
      }
      if (this.#used > 0) this.#flush();
      this.push(null);
    } catch (error) {
      this.destroy(asError(error));
    }
  }
}

/**
 * Dump programs write 4 KB at a time, and each write costs both sides a turn: half of the time of a dump. GNU's stdbuf has
 * them write as much as a pipe takes; where it is not, they write as they do.
 */
function withLargeWrites(path: string, flags: readonly string[]): [string, ...string[]] {
  // A program that is not there is better told by its own name.
  return existsSync(STDBUF) && existsSync(path) ? [STDBUF, '--output=1M', path, ...flags] : [path, ...flags];
}

const STDBUF = '/usr/bin/stdbuf';

/** Asks the program to end, and makes it. Resolves when it is gone. */
export async function endProgram(child: ChildProcess, gone: Promise<void>): Promise<void> {
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    await gone;
    clearTimeout(timer);
  }
  // What the program started may hold it open.
  child.stderr?.destroy();
}

/** Collects the end of what the program says. */
export function tailOf(child: ChildProcess): () => string {
  let text = '';
  // There is none where it could not be started.
  child.stderr?.setEncoding('utf8').on('data', (more: string) => {
    text = (text + more).slice(-SAID_CHARACTERS);
  });
  return () => text.trim();
}

export function notRun(path: string, error: unknown): LongshoreError {
  return new LongshoreError('CHECK_FAILED', `Cannot run ${path}: ${messageOf(error)}`, { cause: error });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
