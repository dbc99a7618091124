/** A TCP proxy before a server whose connections a test can cut, also after the request and before its answer. */

import { connect, createServer, type Socket } from 'node:net';

export interface CutProxy extends AsyncDisposable {
  readonly port: number;
  /** Resets every connection. New ones are accepted. */
  cut(): void;
  /** Resets the connection that brings the server that many more bytes, once. New ones are accepted. */
  cutAfter(bytes: number): void;
  /** From now on the server's next answer resets its connection instead of reaching the client. New ones are well. */
  loseAnswers(): void;
}

export async function startCutProxy(targetPort: number): Promise<CutProxy> {
  let untilCut = Number.POSITIVE_INFINITY;
  const pairs = new Set<{ client: Socket; losing: boolean }>();
  const proxy = createServer((client) => {
    const server = connect(targetPort, '127.0.0.1');
    const pair = { client, losing: false };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('error', end).on('close', end);
    client.on('data', (data) => {
      untilCut -= data.length;
      if (untilCut > 0) return void server.write(data);
      untilCut = Number.POSITIVE_INFINITY;
      client.resetAndDestroy();
    });
    server.on('data', (data) => {
      if (pair.losing) client.resetAndDestroy();
      else client.write(data);
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    port: (proxy.address() as { port: number }).port,
    cut() {
      for (const { client } of pairs) client.resetAndDestroy();
    },
    cutAfter(bytes) {
      untilCut = bytes;
    },
    loseAnswers() {
      for (const pair of pairs) pair.losing = true;
    },
    async [Symbol.asyncDispose]() {
      for (const { client } of pairs) client.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
