/** The output of a program as a stream that ends only when the program did its work, and otherwise fails. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import { LongshoreError, messageOf } from '../errors.ts';

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
  /** Sees every chunk before it goes on. */
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
/** Programs write little at a time, and what comes behind has a cost for each piece. */
const PIECE_BYTES = 1024 ** 2;

/** Destroying the stream, or aborting, ends the program; the stream is closed when it is gone. */
export function programOutput(program: ProgramOutput): Readable {
  const [path, ...flags] = withLargeWrites(program.path, program.flags);
  const child = spawn(path, flags, {
    env: program.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = tailOf(child);
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const { stdout } = child;
  const readable = new Readable({
    highWaterMark: 4 * PIECE_BYTES,
    read() {
      stdout.resume();
    },
    destroy(error, callback) {
      program.signal.removeEventListener('abort', abort);
      stdout.destroy();
      void endProgram(child, gone)
        .then(() => program.cleanUp())
        .then(() => callback(error), callback);
    },
  });
  // It may be stopped before anyone reads; whoever does is told.
  readable.on('error', () => undefined);
  const abort = () => readable.destroy(asError(program.signal.reason));
  program.signal.addEventListener('abort', abort, { once: true });
  if (program.signal.aborted) abort();
  let pieces: Buffer[] = [];
  let bytes = 0;
  const flush = (): boolean => {
    const piece = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, bytes);
    pieces = [];
    bytes = 0;
    return readable.push(piece);
  };
  stdout.on('data', (chunk: Buffer) => {
    try {
      program.passing(chunk);
      pieces.push(chunk);
      bytes += chunk.byteLength;
      if (bytes >= PIECE_BYTES && !flush()) stdout.pause();
    } catch (error) {
      readable.destroy(asError(error));
    }
  });
  stdout.pause();
  stdout.once('error', (error) => readable.destroy(error));
  child.once('error', (error) => readable.destroy(notRun(program.path, error)));
  // Later than the end of its output and its exit.
  child.once('close', (code, signal) => {
    if (readable.destroyed) return;
    try {
      const failure = program.failure({ code, signal, said: said() });
      if (failure !== undefined) {
        readable.destroy(failure);
        return;
      }
      if (bytes > 0) flush();
      readable.push(null);
    } catch (error) {
      readable.destroy(asError(error));
    }
  });
  return readable;
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
  child.stderr!.setEncoding('utf8').on('data', (more: string) => {
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
