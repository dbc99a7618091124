/**
 * An HTTP proxy before an S3 server that makes requests go wrong by a plan; any server will do, and the same plan hits
 * the same requests.
 */

import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { seededRandom } from '../../src/embedded/s3/faults.ts';

/** How a request goes wrong. */
export type ProxyFault =
  /** Answers with this status and code, and passes nothing on. */
  | { readonly kind: 'status'; readonly status: number; readonly code: string }
  /** The connection is reset when half of the body has come; nothing is passed on. */
  | { readonly kind: 'reset-request' }
  /** The work is done, and the connection ends in the middle of the answer. */
  | { readonly kind: 'cut-answer' }
  /** The work is done, and the connection is reset before the answer. */
  | { readonly kind: 'lost-answer' }
  /** The request is passed on after this time. */
  | { readonly kind: 'stall'; readonly ms: number };

export interface ProxyRule {
  /** As {@link operationOf} names them; any where absent. */
  readonly operation?: string;
  /** In the path, which is not decoded. */
  readonly path?: RegExp;
  readonly fault: ProxyFault;
  /** How many requests go wrong before the rule is spent; without end where absent. */
  readonly times?: number;
  /** How many requests that match are passed over before. */
  readonly after?: number;
}

export interface RandomFaults {
  readonly seed: number;
  /** Of every request, from 0 to 1. */
  readonly probability: number;
  readonly faults: readonly ProxyFault[];
}

export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
  /** The first rule that matches a request is the one that counts. @returns how often it was used so far */
  add(rule: ProxyRule): () => number;
  /** Hits requests at random, by their kind and by how many of that kind came before. */
  random(plan: RandomFaults): void;
  /** Forgets rules and random faults. */
  clear(): void;
  /** Refuses every connection, and resets those that are open. */
  down(): Promise<void>;
  /** Listens again, at the same port. */
  up(): Promise<void>;
  /** Of what went wrong so far. */
  readonly injected: number;
  /** Requests that have come and are not answered; those of clients that went away among them, as far as they arrive. */
  readonly underWay: number;
  /** What was asked and answered: `PutObject /lake/a.json 200`, or the fault in place of the status; after a stall `200 late`. */
  readonly log: readonly string[];
}

/** @param target `http://127.0.0.1:9000`; signatures stay valid, since the Host header is passed on as it came */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const plan = new Plan();
  const log: string[] = [];
  const sockets = new Set<Socket>();
  let underWay = 0;
  const server = createServer({ keepAliveTimeout: 60_000 }, (message, response) => {
    const operation = operationOf(message);
    const fault = plan.take(operation, message.url!);
    const note = (end: string | number) => log.push(`${operation} ${message.url!.split('?')[0]} ${end}`);
    // A client that gives up, and a store that goes away: the connection ends, and the client sees that.
    underWay++;
    serve(new URL(target), message, response, fault, note)
      .catch(() => message.socket.destroy())
      .finally(() => underWay--);
  });
  server.requestTimeout = 0;
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.removeListener('error', reject);
        resolve();
      });
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const down = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    add: (rule) => plan.add(rule),
    random: (faults) => plan.random(faults),
    clear: () => plan.clear(),
    down,
    up: () => listen(port),
    get injected() {
      return plan.injected;
    },
    get underWay() {
      return underWay;
    },
    log,
    [Symbol.asyncDispose]: async () => {
      if (server.listening) await down();
    },
  };
}

/** S3's own name of a request. */
export function operationOf({ method, url }: Pick<IncomingMessage, 'method' | 'url'>): string {
  const { pathname, searchParams } = new URL(url!, 'http://proxy');
  const ofObject = pathname.split('/').filter((part) => part !== '').length > 1;
  switch (method) {
    case 'GET':
      return ofObject ? 'GetObject' : 'ListObjects';
    case 'HEAD':
      return 'HeadObject';
    case 'PUT':
      return searchParams.has('partNumber') ? 'UploadPart' : 'PutObject';
    case 'DELETE':
      return searchParams.has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'POST':
      if (searchParams.has('delete')) return 'DeleteObjects';
      return searchParams.has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload';
  }
  return String(method);
}

class Plan {
  injected = 0;
  #rules: { readonly rule: ProxyRule; used: number; seen: number }[] = [];
  #random: RandomFaults | undefined;
  /** How many requests of a kind came. */
  readonly #seen = new Map<string, number>();

  add(rule: ProxyRule): () => number {
    const entry = { rule, used: 0, seen: 0 };
    this.#rules.push(entry);
    return () => entry.used;
  }

  random(faults: RandomFaults): void {
    this.#random = faults;
  }

  clear(): void {
    this.#rules = [];
    this.#random = undefined;
  }

  take(operation: string, path: string): ProxyFault | undefined {
    const fault = this.#byRule(operation, path) ?? this.#atRandom(operation, path);
    if (fault !== undefined) this.injected++;
    return fault;
  }

  #byRule(operation: string, path: string): ProxyFault | undefined {
    for (const entry of this.#rules) {
      const { rule } = entry;
      if (entry.used >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      if (rule.operation !== undefined && rule.operation !== operation) continue;
      if (rule.path !== undefined && !rule.path.test(path)) continue;
      if (entry.seen++ < (rule.after ?? 0)) continue;
      entry.used++;
      return rule.fault;
    }
    return undefined;
  }

  /** Names hold LSNs and times, which are others in every run: what is left without digits is the kind. */
  #atRandom(operation: string, path: string): ProxyFault | undefined {
    if (this.#random === undefined) return undefined;
    const { seed, probability, faults } = this.#random;
    const kind = `${operation} ${path.split('?')[0]!.replace(/[0-9A-F]*[0-9][0-9A-F]*/g, '#')}`;
    const nth = this.#seen.get(kind) ?? 0;
    this.#seen.set(kind, nth + 1);
    const random = seededRandom(seed + hashOf(`${kind} ${nth}`));
    return random() < probability ? faults[Math.floor(random() * faults.length)] : undefined;
  }
}

function hashOf(text: string): number {
  let hash = 0;
  for (const char of text) hash = (Math.imul(hash, 31) + char.codePointAt(0)!) | 0;
  return hash;
}

interface Answer {
  readonly status: number;
  readonly message: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

async function serve(
  target: URL,
  message: IncomingMessage,
  response: ServerResponse,
  fault: ProxyFault | undefined,
  note: (end: string | number) => void,
): Promise<void> {
  if (fault !== undefined) note(fault.kind === 'status' ? `${fault.status} ${fault.code}` : fault.kind);
  if (fault?.kind === 'reset-request') {
    await halfOf(message);
    message.socket.resetAndDestroy();
    return;
  }
  const body = await allOf(message);
  if (fault?.kind === 'status') {
    const text = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${fault.code}</Code><Message>by the plan</Message></Error>`;
    response.writeHead(fault.status, { 'Content-Type': 'application/xml' }).end(text);
    return;
  }
  if (fault?.kind === 'stall') await wait(fault.ms, undefined, { ref: false });
  const answer = await pass(target, message, body);
  if (fault === undefined) note(answer.status);
  if (fault?.kind === 'stall') note(`${answer.status} late`);
  if (fault?.kind === 'lost-answer') message.socket.resetAndDestroy();
  else if (fault?.kind === 'cut-answer') message.socket.end(halfAnswer(answer));
  else response.writeHead(answer.status, [...answer.headers]).end(answer.body);
}

/** Waits until half of the body is there, or the first of it. */
async function halfOf(message: IncomingMessage): Promise<void> {
  const wanted = Number(message.headers['content-length'] ?? 0) / 2;
  let bytes = 0;
  if (wanted === 0) return;
  for await (const chunk of message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes >= wanted) return;
  }
}

async function allOf(message: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function pass(target: URL, message: IncomingMessage, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const passed = send(
      {
        host: target.hostname,
        port: target.port,
        method: message.method,
        path: message.url,
        headers: message.rawHeaders,
        setHost: false,
      },
      (answer) => {
        allOf(answer).then((bytes) => {
          const kept = pairs(answer.rawHeaders).filter(([name]) => !HOP_BY_HOP.test(name));
          const length =
            message.method === 'HEAD' ||
            answer.statusCode === 204 ||
            answer.headers['content-length'] !== undefined
              ? []
              : ['Content-Length', String(bytes.byteLength)];
          resolve({
            status: answer.statusCode!,
            message: answer.statusMessage!,
            headers: [...kept.flat(), ...length],
            body: bytes,
          });
        }, reject);
      },
    );
    passed.on('error', reject);
    passed.end(body);
  });
}

const HOP_BY_HOP = /^(connection|keep-alive|transfer-encoding)$/i;

function pairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1]!] as [string, string]] : []));
}

/** Head and half of the body; of an answer without one, half of the head. */
function halfAnswer({ status, message, headers, body }: Answer): Buffer {
  const lines = pairs(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = Buffer.from(`HTTP/1.1 ${status} ${message}\r\n${lines.join('')}\r\n`, 'latin1');
  if (body.byteLength === 0) return head.subarray(0, head.byteLength >> 1);
  return Buffer.concat([head, body.subarray(0, body.byteLength >> 1)]);
}
