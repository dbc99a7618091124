/** Runs a Lambda function's source in a process of its own, with a client of S3 that asks the test. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LambdaAnswer, LambdaEvent } from './s3-control.ts';

/** What the function asks of S3. */
export interface CopyCall {
  readonly input: Readonly<Record<string, string>>;
  /** Headers that the function adds to the request. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What S3 answers; `error` as the SDK throws it. */
export type CopyAnswer =
  | { readonly etag: string }
  | { readonly error: { readonly name: string; readonly message: string; readonly status: number } };

export interface LambdaFunction extends AsyncDisposable {
  invoke(event: LambdaEvent): Promise<LambdaAnswer>;
}

export async function startLambda(
  source: string,
  copy: (call: CopyCall) => Promise<CopyAnswer>,
): Promise<LambdaFunction> {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-lambda-'));
  const client = join(folder, 'node_modules/@aws-sdk/client-s3');
  mkdirSync(client, { recursive: true });
  writeFileSync(
    join(client, 'package.json'),
    '{"name":"@aws-sdk/client-s3","type":"module","main":"index.js"}',
  );
  writeFileSync(join(client, 'index.js'), CLIENT);
  writeFileSync(join(folder, 'index.mjs'), source);
  writeFileSync(join(folder, 'runtime.mjs'), RUNTIME);
  const child = fork(join(folder, 'runtime.mjs'), { execPath: process.execPath, execArgv: [] });
  const waiting = new Map<string, { resolve(answer: LambdaAnswer): void; reject(error: Error): void }>();
  child.on('message', async (message: Message) => {
    if (message.kind === 'copy') child.send({ id: message.id, answer: await copy(message.call) });
    if (message.kind === 'answer') waiting.get(message.id)?.resolve(message.answer);
    if (message.kind === 'threw') waiting.get(message.id)?.reject(new Error(message.error));
  });
  await once(child, 'message');
  return {
    invoke: (event) =>
      new Promise((resolve, reject) => {
        waiting.set(event.invocationId, { resolve, reject });
        child.send({ event });
      }),
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

type Message =
  | { readonly kind: 'ready' }
  | { readonly kind: 'copy'; readonly id: number; readonly call: CopyCall }
  | { readonly kind: 'answer'; readonly id: string; readonly answer: LambdaAnswer }
  | { readonly kind: 'threw'; readonly id: string; readonly error: string };

const RUNTIME = `
import { handler } from './index.mjs';
process.on('message', async ({ event }) => {
  if (event === undefined) return;
  const id = event.invocationId;
  try {
    process.send({ kind: 'answer', id, answer: await handler(event) });
  } catch (error) {
    process.send({ kind: 'threw', id, error: String(error) });
  }
});
process.send({ kind: 'ready' });
`;

/** As much of the SDK as the function uses: commands with a middleware stack, and a client that sends them. */
const CLIENT = `
let last = 0;
export class CopyObjectCommand {
  constructor(input) {
    this.input = input;
    this.middlewares = [];
    this.middlewareStack = { add: (middleware) => this.middlewares.push(middleware) };
  }
}
export class S3Client {
  async send(command) {
    const request = { headers: {} };
    let next = async () => ({});
    for (const middleware of command.middlewares) next = middleware(next, {});
    await next({ request, input: command.input });
    const id = ++last;
    const answer = await new Promise((resolve) => {
      const listen = (message) => {
        if (message.id !== id) return;
        process.off('message', listen);
        resolve(message.answer);
      };
      process.on('message', listen);
      process.send({ kind: 'copy', id, call: { input: command.input, headers: request.headers } });
    });
    if (answer.error === undefined) return { CopyObjectResult: { ETag: '"' + answer.etag + '"' } };
    const { name, message, status } = answer.error;
    throw Object.assign(new Error(message), { name, $metadata: { httpStatusCode: status } });
  }
}
`;
