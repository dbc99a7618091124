/** The thread that loads chunks: a connection of its own under the job's snapshot, one chunk after another. */

import { parentPort, workerData } from 'node:worker_threads';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { type Doing, postgresError } from '../../databases/postgres/errors.ts';
import { lockTables } from '../../databases/postgres/lock-tables.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import { beginUnderSnapshot } from '../../databases/postgres/replication-setup.ts';
import { LongshoreError } from '../../errors.ts';
import { ChunkLoader, type ChunkTask, type LoadedChunk } from './load-chunk.ts';

export interface ThreadData {
  readonly from: string;
}

/** In this order; after the tables are locked, as many chunks as there are; the thread ends by itself after the last. */
export type ThreadTask =
  | { readonly kind: 'connect' }
  | { readonly kind: 'begin'; readonly snapshot: string }
  | { readonly kind: 'lock'; readonly tables: readonly { readonly schema: string; readonly name: string }[] }
  | { readonly kind: 'load'; readonly task: ChunkTask }
  | { readonly kind: 'end' };

export type ThreadAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'loaded'; readonly chunk: LoadedChunk }
  | {
      readonly kind: 'failed';
      readonly code: string;
      readonly message: string;
      readonly hint?: string | undefined;
    };

const { from } = workerData as ThreadData;
const url = parseDatabaseUrl(from);
let session: Session | undefined;
let loader: ChunkLoader | undefined;

parentPort!.on('message', (task: ThreadTask) => {
  if (task.kind === 'end') void end();
  else void answer(task).then((message) => parentPort!.postMessage(message));
});

/** Without its port and its connection nothing keeps the thread. */
async function end(): Promise<void> {
  parentPort!.close();
  await session?.[Symbol.asyncDispose]();
}

async function answer(task: Exclude<ThreadTask, { kind: 'end' }>): Promise<ThreadAnswer> {
  const doing = (action: string): Doing => ({
    action: `${action} of ${url.name}`,
    database: url.name,
    user: url.connection.user,
  });
  try {
    if (task.kind === 'connect') session = await openSession(url.connection, { doing: doing('load tables') });
    if (session === undefined) throw new Error('the session of a loading thread is gone');
    if (task.kind === 'begin') await beginUnderSnapshot(session.client, task.snapshot);
    if (task.kind === 'lock') await lockTables(session.client, task.tables);
    if (task.kind !== 'load') return { kind: 'ready' };
    if (loader?.fits(task.task) !== true) loader = new ChunkLoader(task.task);
    return { kind: 'loaded', chunk: await loader.load(session, task.task) };
  } catch (error) {
    await session?.[Symbol.asyncDispose]();
    session = undefined;
    loader = undefined;
    const known = error instanceof LongshoreError ? error : postgresError(error, doing(ACTIONS[task.kind]));
    return { kind: 'failed', code: known.code, message: known.message, hint: known.hint };
  }
}

const ACTIONS: Readonly<Record<Exclude<ThreadTask['kind'], 'end'>, string>> = {
  connect: 'load tables',
  begin: 'take the snapshot',
  lock: 'lock the tables',
  load: 'load a table',
};
