/** Feeds a stream to a program, and says how the program ended. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { endProgram, notRun, type ProgramEnd, tailOf } from './program-output.ts';

export interface ProgramInput {
  readonly path: string;
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** A stream, and what its bytes pass through. */
  readonly input: readonly [Readable, ...Transform[]];
  readonly signal: AbortSignal;
}

/**
 * Its standard output is not read. A program that ends before it has read everything is no error here: how it ended tells. Where
 * the input fails, or on abort, the program is ended.
 *
 * @throws the error of the input, the signal's reason, CHECK_FAILED where the program cannot be run
 */
export async function feedProgram(
  program: ProgramInput,
): Promise<ProgramEnd & { readonly readAll: boolean }> {
  const { path, flags, env, input, signal } = program;
  const child = spawn(path, flags, { env, stdio: ['pipe', 'ignore', 'pipe'] });
  const said = tailOf(child);
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const ended = once(child, 'close').catch((error: unknown) => {
    throw notRun(path, error);
  }) as Promise<[number | null, NodeJS.Signals | null]>;
  // Looked at below, perhaps later than it fails.
  ended.catch(() => {});
  const abort = () => void endProgram(child, gone);
  signal.addEventListener('abort', abort, { once: true });
  try {
    let readAll = true;
    try {
      await pipeline([...input, child.stdin!], { signal });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!isClosedPipe(error)) throw error;
      readAll = false;
    }
    const [code, endedBy] = await ended;
    signal.throwIfAborted();
    return { code, signal: endedBy, said: said(), readAll };
  } finally {
    signal.removeEventListener('abort', abort);
    await endProgram(child, gone);
  }
}

/** The other side stopped reading. */
function isClosedPipe(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return (
    ((code === 'EPIPE' || code === 'ECONNRESET') && (syscall === 'write' || syscall === 'shutdown')) ||
    code === 'ERR_STREAM_PREMATURE_CLOSE'
  );
}
