/** An HTTP proxy before moto, with what moto does not model, that makes calls go wrong. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Answer, type AwsWorld, auroraOnMoto, newWorld } from './aurora-on-moto.ts';

export interface AwsProxy extends AsyncDisposable {
  readonly url: string;
  /** `CreateStack`, `DescribeDBClusters`, … in the order in which they came. */
  readonly log: string[];
  /** The same with their services, as IAM names them: `rds:DescribeDBClusters`. */
  readonly actions: Set<string>;
  /** What moto does not know, to be changed by tests. */
  readonly world: AwsWorld;
  /** Resets connections at the n-th call from now on, and after it, until `revive`. */
  killAt(nth: number, moment: 'before' | 'after', killed: () => void): void;
  revive(): void;
  /** When moto was reset: no stacks, no clusters. */
  forget(): void;
}

/** Of services that sign by another name. */
const IAM_NAMES: Readonly<Record<string, string>> = { monitoring: 'cloudwatch' };

export async function startAwsProxy(target: string): Promise<AwsProxy> {
  const log: string[] = [];
  const actions = new Set<string>();
  let kill: { left: number; moment: 'before' | 'after'; killed: () => void; dead: boolean } | undefined;
  const world = newWorld();
  const moto = auroraOnMoto(target, world);

  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const isJson = message.headers['x-amz-target'] !== undefined;
    const params = new URLSearchParams(isJson ? '' : text);
    const operation = isJson
      ? String(message.headers['x-amz-target']).split('.').at(-1)!
      : params.get('Action')!;
    if (kill?.dead === true || (kill !== undefined && kill.moment === 'before' && kill.left === 1)) {
      if (!kill.dead) kill.killed();
      kill.dead = true;
      message.socket.resetAndDestroy();
      return;
    }
    const isLast = kill !== undefined && --kill.left === 0;
    log.push(operation);
    const service = /\/([a-z0-9-]+)\/aws4_request/.exec(message.headers.authorization ?? '')?.[1] ?? '';
    actions.add(`${IAM_NAMES[service] ?? service}:${operation}`);
    const error = world.errors.get(operation);
    let answer: Answer;
    if (error !== undefined && error.times-- > 0)
      answer = isJson
        ? { status: error.status, body: JSON.stringify({ __type: error.code, message: 'by the plan' }) }
        : {
            status: error.status,
            body: `<ErrorResponse><Error><Type>Sender</Type><Code>${error.code}</Code><Message>by the plan</Message></Error></ErrorResponse>`,
          };
    else answer = await moto.answer(operation, headersOf(message), text, params);
    const body = (world.rewrites.get(operation) ?? ((same: string) => same))(answer.body);
    if (isLast) {
      kill!.dead = true;
      kill!.killed();
      message.socket.resetAndDestroy();
      return;
    }
    response
      .writeHead(answer.status, { 'Content-Type': isJson ? 'application/x-amz-json-1.1' : 'text/xml' })
      .end(body);
  };

  const failures: unknown[] = [];
  const server = createServer((message, response) => {
    serve(message, response).catch((error: unknown) => {
      failures.push(error);
      message.socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log,
    actions,
    world,
    killAt: (nth, moment, killed) => {
      kill = { left: nth, moment, killed, dead: false };
    },
    revive: () => {
      kill = undefined;
    },
    forget: () => moto.forget(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      if (failures.length > 0) throw new AggregateError(failures, 'the proxy failed');
    },
  };
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const kept = ['authorization', 'content-type', 'x-amz-target', 'x-amz-date'];
  return Object.fromEntries(kept.flatMap((name) => (headers[name] ? [[name, String(headers[name])]] : [])));
}
