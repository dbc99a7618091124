/** Threads that load chunks: a chunk each at a time. */

import { Worker } from 'node:worker_threads';
import { type ErrorCode, LongshoreError } from '../../errors.ts';
import type { ChunkTask, LoadedChunk } from './load-chunk.ts';
import type { ThreadAnswer, ThreadData } from './load-thread.ts';

/** The sources run as they are, the built program has none. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? './load-thread.ts' : './load-thread.js',
  import.meta.url,
);

export class LoadThreads implements AsyncDisposable {
  readonly #data: ThreadData;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();

  constructor(data: ThreadData) {
    this.#data = data;
  }

  /** Loads a chunk in a thread that does nothing else; as many threads as there are calls at once. */
  async load(task: ChunkTask): Promise<LoadedChunk> {
    const worker = this.#idle.pop() ?? this.#start();
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
    // A thread that ended has thrown above, and is not used again.
    this.#idle.push(worker);
    if (answer.kind === 'loaded') return answer.chunk;
    throw new LongshoreError(answer.code as ErrorCode, answer.message, { hint: answer.hint });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
  }

  #start(): Worker {
    const worker = new Worker(THREAD, { workerData: this.#data });
    this.#all.add(worker);
    return worker;
  }
}
