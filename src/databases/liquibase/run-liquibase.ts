/** Runs Liquibase to its end. Its start may be a script, so that it is ended together with what it started. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { notRun } from '../program-output.ts';
import type { LiquibaseProgram } from './find-liquibase.ts';

export interface LiquibaseEnd {
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
  /** The end of what it wrote, without stack traces. */
  readonly said: string;
}

const KILL_AFTER_MS = 5000;
const SAID_LINES = 400;

/**
 * @param folder it runs in
 * @param onLine every line that it writes
 * @throws CHECK_FAILED where it cannot be run, the signal's reason when it is gone
 */
export async function runLiquibase(
  program: LiquibaseProgram,
  args: readonly string[],
  folder: string,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<LiquibaseEnd> {
  signal.throwIfAborted();
  const child = spawn(program.path, [...program.flags, ...args], {
    cwd: folder,
    env: program.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own.
    detached: process.platform !== 'win32',
  });
  const closed = once(child, 'close').catch((error: unknown) => {
    throw notRun(program.path, error);
  }) as Promise<[number | null, NodeJS.Signals | null]>;
  const said: string[] = [];
  const read = async (stream: Readable) => {
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (/^\s+(at |\.\.\. \d)/.test(line)) continue;
      said.push(line);
      if (said.length > SAID_LINES) said.shift();
      onLine(line);
    }
  };
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    endGroup(child, 'SIGTERM');
    timer ??= setTimeout(() => endGroup(child, 'SIGKILL'), KILL_AFTER_MS);
  };
  signal.addEventListener('abort', end, { once: true });
  try {
    const [[code, killedBy]] = await Promise.all([closed, read(child.stdout!), read(child.stderr!)]);
    signal.throwIfAborted();
    return { code, killedBy, said: said.join('\n') };
  } catch (error) {
    // What a listener throws must not leave it running.
    end();
    await closed.catch(() => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', end);
    clearTimeout(timer);
  }
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch (error) {
    // Gone by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
