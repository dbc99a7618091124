/** A registry for tests: Debian's docker-registry over a temporary folder, open, with a password, or with tokens. */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '../../src/embedded/postgres.ts';

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:41234` */
  readonly host: string;
  readonly port: number;
  /** What it was asked: `PUT /v2/team/shop/manifests/1 201`. */
  requests(): string[];
}

/** Whether it can be started; prints how to enable it where not. */
export function dockerRegistryAvailable(): boolean {
  return hasProgram('docker-registry', 'a registry');
}

export function hasProgram(name: string, what: string): boolean {
  if (spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined) return true;
  console.warn(`skipped: no ${what}; sudo apt-get install ${name}`);
  return false;
}

const START_MS_MAX = 20_000;

/** Of both, whoever logs in: me, with the password geheim. @param auth what it asks for */
export async function startDockerRegistry(auth?: 'password' | 'token'): Promise<TestRegistry> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'longshore-registry-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const settings = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: host, secret: 'of tests' },
    ...(auth === 'password' ? { auth: { htpasswd: { realm: 'tests', path: passwordFile(folder) } } } : {}),
    ...(auth === 'token' ? { auth: { token: await startTokenServer(folder, stack) } } : {}),
  };
  const path = join(folder, 'config.yml');
  writeFileSync(path, JSON.stringify(settings));
  let output = '';
  const child = spawn('docker-registry', ['serve', path], { env: { PATH: process.env['PATH'] } });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += String(data)));
  const ended = once(child, 'exit');
  stack.defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const deadlineMs = Date.now() + START_MS_MAX;
  while (!(await answers(host))) {
    if (child.exitCode !== null || Date.now() > deadlineMs)
      throw new Error(`docker-registry did not start (exit code ${child.exitCode}): ${output}`);
    await wait(50);
  }
  const owned = stack.move();
  return {
    host,
    port,
    requests: () =>
      [...output.matchAll(/"([A-Z]+) (\/v2\/\S+) HTTP\/1\.1" (\d+)/g)].map(
        ([, method, url, status]) => `${method} ${url} ${status}`,
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const answers = (host: string): Promise<boolean> =>
  fetch(`http://${host}/v2/`).then(
    () => true,
    () => false,
  );

function passwordFile(folder: string): string {
  const path = join(folder, 'htpasswd');
  // geheim, by bcrypt.
  writeFileSync(path, 'me:$2y$05$E009RiXR1YLnkAf8hI6vjuk3K6pOD4PdMw6VkhIuypOa2qvqtOTKu\n');
  return path;
}

/** Gives out the tokens that are asked for: everything for who knows the password, reading for everybody. */
async function startTokenServer(folder: string, stack: AsyncDisposableStack) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = join(folder, 'key.pem');
  const certificate = join(folder, 'certificate.pem');
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  execFileSync(
    'openssl',
    ['req', '-x509', '-new', '-key', key, '-subj', '/CN=tests', '-days', '2', '-out', certificate],
    { stdio: 'ignore' },
  );
  const x5c = [readFileSync(certificate, 'utf8').replace(/-----[^-]+-----|\s/g, '')];
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://127.0.0.1');
    const [, basic] = /^Basic (.*)$/.exec(request.headers.authorization ?? '') ?? [];
    const isKnown = basic !== undefined && Buffer.from(basic, 'base64').toString() === 'me:geheim';
    if (basic !== undefined && !isKnown) return void response.writeHead(401).end();
    const access = url.searchParams.getAll('scope').flatMap((scopes) =>
      scopes.split(' ').map((scope) => {
        const [type, name, actions] = scope.split(':');
        return { type, name, actions: isKnown ? actions?.split(',') : ['pull'] };
      }),
    );
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: 'tests',
      sub: 'me',
      aud: 'registry',
      exp: now + 60,
      nbf: now - 10,
      iat: now,
      jti: randomUUID(),
      access,
    };
    const text = [{ typ: 'JWT', alg: 'RS256', x5c }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const token = `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
    response.end(JSON.stringify({ token }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as { port: number };
  return {
    realm: `http://127.0.0.1:${port}/token`,
    service: 'registry',
    issuer: 'tests',
    rootcertbundle: certificate,
  };
}
