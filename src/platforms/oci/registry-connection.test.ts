import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseImageReference } from './reference.ts';
import { Registry } from './registry.ts';

let folder: string;
const servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-registry-'));
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true, force: true });
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

async function pull(host: string): Promise<unknown> {
  const auths = { [host]: { auth: Buffer.from('me:geheim').toString('base64') } };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ auths }));
  await using registry = new Registry(parseImageReference(`${host}/a/b`), 'pull', {
    env: { DOCKER_CONFIG: folder },
    retry: { attemptsMax: 3, baseMs: 1, waitMsMax: 1 },
  });
  return await registry.image();
}

test('whom a registry sends to gets no password, whatever it asks for', async () => {
  const heard: (string | undefined)[] = [];
  const other = await serve((request, response) => {
    heard.push(request.headers.authorization);
    const realm = `Bearer realm="http://${request.headers.host}/token"`;
    response.writeHead(401, { 'www-authenticate': realm }).end();
  });
  const host = await serve(
    (_, response) => void response.writeHead(307, { location: `http://${other}/x` }).end(),
  );
  await expect(pull(host)).rejects.toMatchObject({ code: 'STORE_CREDENTIALS' });
  expect(heard).toEqual([undefined]);
});

test('a manifest or token that breaks off is asked for again, and told in the end', async () => {
  let requests = 0;
  const breaking: RequestListener = (_, response) => {
    requests++;
    response.writeHead(200, { 'content-length': '100' });
    response.write('{', () => response.destroy());
  };
  const host = await serve(breaking);
  await expect(pull(host)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(requests).toBe(3);
  const tokens = await serve(breaking);
  const asking = await serve(
    (_, response) =>
      void response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${tokens}/t"` }).end(),
  );
  await expect(pull(asking)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(requests).toBe(6);
});

test.each(['http://[bad', 'file:///etc/passwd'])('a Location %s is refused', async (location) => {
  const host = await serve((_, response) => void response.writeHead(302, { location }).end());
  await expect(pull(host)).rejects.toMatchObject({ code: 'STORE_RESPONSE' });
});
