/** Threads that load chunks: a chunk each at a time. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ErrorCode, LongshoreError } from '../../errors.ts';
import type { ChunkTask, LoadedChunk } from './load-chunk.ts';
import type { ThreadAnswer, ThreadData, ThreadTask } from './load-thread.ts';
import type { HeldSnapshot } from './snapshot.ts';

/** The sources run as they are, the built program has none. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? './load-thread.ts' : './load-thread.js',
  import.meta.url,
);

export class LoadThreads implements AsyncDisposable {
  readonly #idle: Worker[] = [];
  /** Who gets a thread when one is idle again, in order. */
  readonly #waiting: PromiseWithResolvers<Worker>[] = [];
  /** Why a thread failed; its session is not under the snapshot any more. */
  #failure: { readonly error: unknown } | undefined;
  readonly #all = new Set<Worker>();
  #began = false;

  /** Starts threads, and opens a session in each. @throws the errors of the database */
  static async connect(from: string, count: number): Promise<LoadThreads> {
    const data: ThreadData = { from };
    const threads = new LoadThreads();
    for (let i = 0; i < count; i++) threads.#all.add(new Worker(THREAD, { workerData: data }));
    threads.#idle.push(...threads.#all);
    try {
      await threads.#each({ kind: 'connect' });
      return threads;
    } catch (error) {
      await threads[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Brings all sessions under a snapshot, and locks its tables in all of them at once. */
  async begin(snapshot: HeldSnapshot): Promise<void> {
    await this.#each({ kind: 'begin', snapshot: snapshot.name });
    const tables = snapshot.tables.map(({ schema, name }) => ({ schema, name }));
    await Promise.all([snapshot.lock(), this.#each({ kind: 'lock', tables })]);
    this.#began = true;
  }

  /**
   * Loads a chunk in a thread that does nothing else meanwhile; where none is idle, when one is.
   * @throws the errors of the database; once one has failed, the same for every chunk that waits or comes
   */
  async load(task: ChunkTask): Promise<LoadedChunk> {
    const worker = await this.#take();
    const answer = await ask(worker, { kind: 'load', task }).catch((error: unknown) => {
      this.#failure ??= { error };
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
      throw error;
    });
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(worker);
    else next.resolve(worker);
    if (answer.kind === 'loaded') return answer.chunk;
    throw new Error('a loading thread answered something else');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = [...this.#all].map(async (worker) => {
      const isAtRest = this.#began && this.#idle.includes(worker) && worker.threadId > 0;
      if (!isAtRest) return await worker.terminate();
      const exit = once(worker, 'exit');
      worker.postMessage({ kind: 'end' } satisfies ThreadTask);
      return await exit;
    });
    await Promise.all(ended);
  }

  async #take(): Promise<Worker> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    const waiting = Promise.withResolvers<Worker>();
    this.#waiting.push(waiting);
    return await waiting.promise;
  }

  async #each(task: ThreadTask): Promise<void> {
    await Promise.all(this.#idle.map((worker) => ask(worker, task)));
  }
}

async function ask(worker: Worker, task: ThreadTask): Promise<ThreadAnswer> {
  const answer = await new Promise<ThreadAnswer>((resolve, reject) => {
    const settle = (done: () => void): void => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      done();
    };
    const onMessage = (message: ThreadAnswer): void => settle(() => resolve(message));
    const onError = (error: Error): void => settle(() => reject(error));
    const onExit = (code: number): void => onError(new Error(`a loading thread ended with code ${code}`));
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(task);
  });
  if (answer.kind !== 'failed') return answer;
  throw new LongshoreError(answer.code as ErrorCode, answer.message, { hint: answer.hint });
}
