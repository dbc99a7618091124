/**
 * Client programs of databases as children: their output is over only when they have ended well. A stream that ends
 * because its program died looks like one that is whole, so that nothing may be believed before both are known.
 */

import { Readable } from 'node:stream';
import { LongshoreError } from '../errors.ts';
import type { PieceLender } from '../flow/buffer-pool.ts';
import { feedProgram } from './program-input.ts';
import { type ProgramEnd, programOutput } from './program-output.ts';

export interface ProgramCall {
  readonly path: string;
  readonly args: readonly string[];
  /** All that it gets: nothing of ours is passed on. */
  readonly env: NodeJS.ProcessEnv;
  /** A verb with its object, for errors: `dump shop`. */
  readonly action: string;
}

/** Looks at a dump while it passes. */
export interface DumpReader {
  /** The bytes are good until it returns. */
  push(chunk: Buffer): void;
  /** @throws where the dump is not whole */
  end(): void;
}

/**
 * What a program writes. The stream ends when the program has closed with code 0 and the reader has seen the end;
 * otherwise it is destroyed with DATABASE_FAILED, which holds the last of what the program said. Destroying it kills the
 * program, and waits for it.
 */
export function clientOutput(
  call: ProgramCall,
  reader: DumpReader,
  signal: AbortSignal,
): Readable & PieceLender {
  const { path, args: flags, env } = call;
  return programOutput({
    ...{ path, flags, env, signal },
    passing: (chunk) => reader.push(chunk),
    failure: (end) => {
      const failure = failureOf(call, end);
      if (failure === undefined) reader.end();
      return failure;
    },
    cleanUp: () => undefined,
  });
}

/**
 * Runs a program to its end, with a stream as its input.
 * @throws DATABASE_FAILED where it does not end with code 0; what the input fails with
 */
export async function runClient(
  call: ProgramCall,
  signal: AbortSignal,
  input: Readable = Readable.from([]),
): Promise<void> {
  const { path, args: flags, env } = call;
  const failure = failureOf(call, await feedProgram({ path, flags, env, input: [input], signal }));
  if (failure !== undefined) throw failure;
}

function failureOf(
  { path, action }: ProgramCall,
  { code, signal, said }: ProgramEnd,
): LongshoreError | undefined {
  if (code === 0) return undefined;
  const end = signal === null ? `ended with code ${code}` : `was killed by ${signal}`;
  const name = path.slice(path.lastIndexOf('/') + 1);
  return new LongshoreError(
    'DATABASE_FAILED',
    `cannot ${action}: ${name} ${end}${said === '' ? '' : `: ${said}`}`,
  );
}
