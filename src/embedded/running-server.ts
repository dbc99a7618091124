/** A server of ours while it runs: started again on the same data, stopped, and gone with this process. */

import type { ChildProcess } from 'node:child_process';

export interface RunningServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Stops the server and starts it on the same port and data. */
  restart(): Promise<void>;
}

export interface ServerHandling {
  readonly url: string;
  readonly port: number;
  /** That the server takes as the wish to end. */
  readonly signal: NodeJS.Signals;
  start(): Promise<ChildProcess>;
  stop(server: ChildProcess): Promise<void>;
  /** Takes its folders away. */
  remove(): Promise<void>;
}

export function runningServer(
  first: ChildProcess,
  { url, port, signal, start, stop, remove }: ServerHandling,
): RunningServer {
  let server = first;
  const kill = () => void server.kill(signal);
  process.on('exit', kill);
  return {
    url,
    port,
    async restart() {
      await stop(server);
      server = await start();
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', kill);
      await stop(server);
      await remove();
    },
  };
}
