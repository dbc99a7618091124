import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { uploadBlob } from './blob-upload.ts';
import { digestOf } from './image.ts';
import { RegistryConnection } from './registry-connection.ts';

const CONTENT = Buffer.alloc(3_000_000, 'abcdefg');
const blob = {
  digest: digestOf(CONTENT),
  size: CONTENT.length,
  read: (from: number, to: number) => Readable.from(piecesOf(CONTENT.subarray(from, to))),
};

function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

/** Takes uploads as the distribution specification has it, and fails as it is told. */
class FakeRegistry implements AsyncDisposable {
  readonly requests: string[] = [];
  /** What was sent to it, also when it was not kept. */
  bytesIn = 0;
  stored: Buffer | undefined;
  /** Cuts each connection in turn after so many bytes of its PATCH. */
  cuts: number[] = [];
  /** Forgets an upload whose connection broke. */
  forgets = false;
  /** Answers 413 to larger requests. */
  bodyMax = Number.POSITIVE_INFINITY;
  /** Does its work, but cuts the connection instead of answering, so often. */
  lostCloses = 0;
  /** Wants this token, and gives out the next one. */
  token: string | undefined;
  chunkMin: string | undefined;
  #uploads = new Map<string, Buffer>();
  #next = 1;
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as { port: number }).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const url = new URL(request.url!, `http://${request.headers.host}`);
    if (url.pathname === '/token') return void response.end(JSON.stringify({ token: this.token }));
    this.requests.push(`${request.method} ${request.headers['content-range'] ?? ''}`.trim());
    const end = (status: number, headers: Record<string, string> = {}): void => {
      response.writeHead(status, headers).end();
    };
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      request.resume();
      return end(401, { 'www-authenticate': `Bearer realm="${url.origin}/token"` });
    }
    if (request.method === 'HEAD') return end(this.stored === undefined ? 404 : 200);
    const [, , , , , , id = ''] = url.pathname.split('/');
    if (request.method === 'POST') {
      const made = String(this.#next++);
      this.#uploads.set(made, Buffer.alloc(0));
      return end(202, {
        location: `/v2/a/b/blobs/uploads/${made}?state=x`,
        'oci-chunk-min-length': this.chunkMin ?? '0',
      });
    }
    const had = this.#uploads.get(id);
    if (had === undefined) return end(404);
    const state = (bytes: Buffer) => ({ location: url.href, range: `0-${Math.max(bytes.length - 1, 0)}` });
    if (request.method === 'GET') return end(204, state(had));
    if (Number(request.headers['content-length']) > this.bodyMax) {
      request.resume();
      return end(413);
    }
    const range = request.headers['content-range'];
    if (range !== undefined && !range.startsWith(`${had.length}-`)) return end(416);
    const kept = [had];
    const cut = request.method === 'PATCH' ? this.cuts.shift() : undefined;
    let bytes = 0;
    for await (const piece of request as AsyncIterable<Buffer>) {
      bytes += piece.length;
      this.bytesIn += piece.length;
      kept.push(piece);
      if (cut !== undefined && bytes >= cut) break;
    }
    const now = Buffer.concat(kept);
    if (cut !== undefined) {
      if (this.forgets) this.#uploads.delete(id);
      else this.#uploads.set(id, now);
      socket.destroy();
      return;
    }
    this.#uploads.set(id, now);
    if (request.method === 'PATCH') return end(202, state(now));
    this.#uploads.delete(id);
    if (digestOf(now) !== url.searchParams.get('digest')) return end(400);
    this.stored = now;
    if (this.lostCloses-- > 0) socket.destroy();
    else end(201);
  }
}

let registry: FakeRegistry;
let connection: RegistryConnection;
beforeEach(async () => {
  registry = new FakeRegistry();
  connection = new RegistryConnection(`127.0.0.1:${await registry.start()}`, 'a/b', 'pull,push', {
    env: { DOCKER_CONFIG: '/nowhere' },
    retry: { attemptsMax: 4, baseMs: 1, waitMsMax: 1 },
  });
});
afterEach(async () => {
  await connection[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

test('one stream, where nothing fails', async () => {
  await uploadBlob(connection, blob);
  expect(registry.requests).toEqual(['POST', 'PATCH', 'PUT']);
  expect(registry.stored?.equals(CONTENT)).toBe(true);
});

test('a connection that breaks within a chunk goes on from where the registry got to', async () => {
  registry.cuts = [1_000_000, 500_000];
  await uploadBlob(connection, blob);
  expect(registry.stored?.equals(CONTENT)).toBe(true);
  expect(registry.bytesIn).toBe(CONTENT.length);
  expect(registry.requests.filter((request) => request.startsWith('PATCH'))).toEqual([
    'PATCH',
    expect.stringMatching(/^PATCH 1\d{6}-2999999$/),
    expect.stringMatching(/^PATCH 1\d{6}-2999999$/),
  ]);
});

test('chunks, one after another, and not smaller than the registry wants', async () => {
  await uploadBlob(connection, blob, { chunkBytes: 1_000_000 });
  expect(registry.requests).toEqual([
    'POST',
    'PATCH 0-999999',
    'PATCH 1000000-1999999',
    'PATCH 2000000-2999999',
    'PUT',
  ]);
  registry.requests.length = 0;
  registry.chunkMin = '2000000';
  await uploadBlob(connection, blob, { chunkBytes: 1_000_000 });
  expect(registry.requests).toEqual(['POST', 'PATCH 0-1999999', 'PATCH 2000000-2999999', 'PUT']);
});

test('an upload that was forgotten begins anew', async () => {
  registry.forgets = true;
  registry.cuts = [1_000_000];
  await uploadBlob(connection, blob);
  expect(registry.requests.filter((request) => request === 'POST')).toHaveLength(2);
  expect(registry.stored?.equals(CONTENT)).toBe(true);
});

test('whatever takes no large requests gets small ones', async () => {
  registry.bodyMax = 1_500_000;
  await uploadBlob(connection, blob, { chunkBytes: 1_500_000 });
  expect(registry.stored?.equals(CONTENT)).toBe(true);
  registry.stored = undefined;
  registry.bodyMax = 4 * 1024 * 1024;
  const large = Buffer.alloc(9_000_000, 'x');
  const read = (from: number, to: number) => Readable.from(piecesOf(large.subarray(from, to)));
  await uploadBlob(connection, { digest: digestOf(large), size: large.length, read });
  expect(registry.stored!.equals(large)).toBe(true);
});

test('an answer that was lost is no second upload', async () => {
  registry.lostCloses = 1;
  await uploadBlob(connection, blob);
  expect(registry.bytesIn).toBe(CONTENT.length);
});

test('one that never gets further ends, and says on what', async () => {
  registry.forgets = true;
  registry.cuts = Array.from({ length: 20 }, () => 1);
  await expect(uploadBlob(connection, blob)).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringContaining(`of ${blob.digest} to a repository of 127.0.0.1:`),
  });
  expect(registry.cuts).toHaveLength(16);
});

test('a token that expires within an upload is got anew', async () => {
  registry.token = 'one';
  const read = (from: number, to: number) => {
    if (from === 1_000_000) registry.token = 'two';
    return blob.read(from, to);
  };
  await uploadBlob(connection, { ...blob, read }, { chunkBytes: 1_000_000 });
  expect(registry.stored?.equals(CONTENT)).toBe(true);
});
