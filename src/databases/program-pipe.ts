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
  try {
    await once(server.listen(path), 'listening');
  } catch (error) {
    if (NO_SOCKETS.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  const ours = connect({ path, onread: { buffer: room, callback: took } });
  const ended = once(ours, 'close').then(() => undefined);
  // Looked at when the program was started.
  ended.catch(() => undefined);
  const [[output]] = (await Promise.all([once(server, 'connection'), once(ours, 'connect')])) as [
    [Socket],
    [],
  ];
  server.close();
  return {
    output,
    started() {
      output.destroy();
      return ended;
    },
    resume: () => void ours.resume(),
    destroy() {
      output.destroy();
      ours.destroy();
    },
  };
}

/** Of every system, with the end of the text. */
const PATH_BYTES_MAX = 100;
/** What file systems and systems answer that have none. */
const NO_SOCKETS = new Set(['EACCES', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EPERM']);

function plainPipe({ room, took }: PipeReader): ProgramPipe {
  let stdout: Readable | undefined;
  return {
    output: 'pipe',
    async started(child) {
      stdout = child.stdout!;
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
