/**
 * Where a program writes its output to: a socket whose other end is read into memory of our own. The pipe of a child
 * process would allocate each 64 KB anew, which takes twice the time and leaves all of it to the garbage.
 */

import type { ChildProcess, StdioPipe } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { openTemporaryFolder } from '../flow/temporary-folder.ts';

export interface PipeReader {
  /** Where the next bytes go. */
  room(): Uint8Array;
  /** So many bytes are in the room. @returns whether more can be taken at once; otherwise after `resume` */
  took(bytes: number): boolean;
}

export interface ProgramPipe {
  /** The standard output to start the program with. */
  readonly output: Socket | StdioPipe;
  /**
   * To be called at once with the program, which has its end then.
   * @returns resolves when everything was read, or it was destroyed; rejects where reading fails
   */
  started(child: ChildProcess): Promise<void>;
  resume(): void;
  destroy(): void;
}

/** @throws JOURNAL_UNWRITABLE where there can be no temporary folder */
export async function openProgramPipe(reader: PipeReader): Promise<ProgramPipe> {
  return (await openSocket(reader)) ?? plainPipe(reader);
}

/** @returns undefined where there are no such sockets, or the path of temporary files is too long for one */
async function openSocket({ room, took }: PipeReader): Promise<ProgramPipe | undefined> {
  using folder = openTemporaryFolder('output');
  const path = join(folder.path, 's');
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) return undefined;
  const server = createServer({ pauseOnConnect: true });
  let ours: Socket | undefined;
  let ended: Promise<void>;
  let output: Socket;
  try {
    await once(server.listen(path), 'listening');
    ours = connect({ path, onread: { buffer: room, callback: took } });
    ended = once(ours, 'close').then(() => undefined);
    // A server that has no file descriptor left hangs up, and tells nobody. Otherwise looked at when the program was started.
    const refused = new AbortController();
    ended.then(
      () => refused.abort(),
      () => refused.abort(),
    );
    const connection = once(server, 'connection', { signal: refused.signal }) as Promise<[Socket]>;
    [[output]] = await Promise.all([connection, once(ours, 'connect')]);
  } catch (error) {
    ours?.destroy();
    if (NO_SOCKETS.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  } finally {
    // One that listens keeps the process from its end.
    server.close();
  }
  const mine = ours;
  return {
    output,
    started() {
      output.destroy();
      return ended;
    },
    resume: () => void mine.resume(),
    destroy() {
      output.destroy();
      mine.destroy();
    },
  };
}

/** Of every system, with the end of the text. */
const PATH_BYTES_MAX = 100;
/** What file systems and systems answer that have none; with too many open files, the start of the program tells. */
const NO_SOCKETS = new Set([
  'ABORT_ERR',
  'EACCES',
  'EINVAL',
  'EMFILE',
  'ENFILE',
  'ENOTSUP',
  'EOPNOTSUPP',
  'EPERM',
]);

function plainPipe({ room, took }: PipeReader): ProgramPipe {
  let stdout: Readable | undefined;
  return {
    output: 'pipe',
    async started(child) {
      // It has none where it could not be started.
      if (!child.stdout) return;
      stdout = child.stdout;
      stdout.on('data', (chunk: Buffer) => {
        let more = true;
        for (let at = 0; at < chunk.byteLength; ) {
          const taken = chunk.copy(room(), 0, at);
          at += taken;
          more = took(taken);
        }
        if (!more) stdout!.pause();
      });
      await once(stdout, 'close');
    },
    resume: () => void stdout?.resume(),
    destroy: () => void stdout?.destroy(),
  };
}
