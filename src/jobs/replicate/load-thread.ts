/** The thread that loads chunks: a connection of its own under the job's snapshot, one chunk after another. */

import { parentPort, workerData } from 'node:worker_threads';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { postgresError } from '../../databases/postgres/errors.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import { beginUnderSnapshot } from '../../databases/postgres/replication-setup.ts';
import { LongshoreError } from '../../errors.ts';
import { type ChunkTask, type LoadedChunk, loadChunk } from './load-chunk.ts';

export interface ThreadData {
  readonly from: string;
  readonly snapshot: string;
}

export type ThreadAnswer =
  | { readonly kind: 'loaded'; readonly chunk: LoadedChunk }
  | {
      readonly kind: 'failed';
      readonly code: string;
      readonly message: string;
      readonly hint?: string | undefined;
    };

const { from, snapshot } = workerData as ThreadData;
const url = parseDatabaseUrl(from);
let session: Session | undefined;

parentPort!.on('message', (task: ChunkTask) => {
  void answer(task).then((message) => parentPort!.postMessage(message));
});

async function answer(task: ChunkTask): Promise<ThreadAnswer> {
  const doing = { action: `load a table of ${url.name}`, database: url.name, user: url.connection.user };
  try {
    session ??= await openUnderSnapshot();
    return { kind: 'loaded', chunk: await loadChunk(session, task) };
  } catch (error) {
    await session?.[Symbol.asyncDispose]();
    session = undefined;
    const known = error instanceof LongshoreError ? error : postgresError(error, doing);
    return { kind: 'failed', code: known.code, message: known.message, hint: known.hint };
  }
}

async function openUnderSnapshot(): Promise<Session> {
  const doing = { action: `take the snapshot of ${url.name}`, database: url.name, user: url.connection.user };
  const opened = await openSession(url.connection, { doing });
  try {
    await beginUnderSnapshot(opened.client, snapshot);
    return opened;
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw postgresError(error, doing);
  }
}
