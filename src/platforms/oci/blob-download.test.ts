import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { digestOf } from './image.ts';
import { parseImageReference } from './reference.ts';
import { Registry } from './registry.ts';
import { collected } from './verified.ts';

const CONTENT = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
const descriptor = { mediaType: 'x', digest: digestOf(CONTENT), size: CONTENT.length };

/** Cuts each answer after so many bytes, in turn. */
async function withServer<T>(
  { cuts, knowsRanges, damaged = false }: { cuts: number[]; knowsRanges: boolean; damaged?: boolean },
  use: (registry: Registry, requests: string[]) => Promise<T>,
): Promise<T> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.headers.range ?? 'all');
    const from = knowsRanges ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
    const content = damaged ? Buffer.from(CONTENT).fill(0, 299_000) : CONTENT;
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': String(content.length - from) });
    const cut = cuts.shift();
    if (cut === undefined) response.end(content.subarray(from));
    else response.write(content.subarray(from, cut), () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  try {
    await using registry = new Registry(parseImageReference(`127.0.0.1:${port}/a/b`), 'pull', {
      env: { DOCKER_CONFIG: '/nowhere' },
      retry: { attemptsMax: 3, baseMs: 1, waitMsMax: 1 },
    });
    return await use(registry, requests);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test.each([true, false])('a connection that breaks goes on; ranges are known: %s', async (knowsRanges) => {
  await withServer({ cuts: [100_000, 150_000], knowsRanges }, async (registry, requests) => {
    const bytes = await collected(registry.blob(descriptor), 1_000_000, 'it');
    expect(bytes.equals(CONTENT)).toBe(true);
    expect(requests).toHaveLength(3);
    expect(requests[1]).toMatch(/^bytes=[1-9]\d*-$/);
  });
});

test('one that never gets further ends', async () => {
  const cuts = Array.from({ length: 20 }, () => 0);
  await withServer({ cuts, knowsRanges: true }, async (registry) => {
    await expect(collected(registry.blob(descriptor), 1_000_000, 'it')).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining(`pull ${descriptor.digest}`),
    });
  });
  expect(cuts.length).toBeGreaterThan(10);
});

test('what is damaged is never handed on as a whole', async () => {
  await withServer({ cuts: [], knowsRanges: true, damaged: true }, async (registry) => {
    let bytes = 0;
    const reading = async () => {
      for await (const piece of registry.blob(descriptor)) bytes += piece.length;
    };
    await expect(reading()).rejects.toThrow('is damaged: it has the digest');
    expect(bytes).toBeLessThan(CONTENT.length);
  });
});
