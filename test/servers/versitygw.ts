/** A production-grade S3 server for tests: versitygw over a temporary folder. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Secret } from '../../src/config/secret.ts';
import { freePort } from '../../src/embedded/postgres.ts';
import { EMPTY_SHA256, Signer } from '../../src/stores/s3/sign.ts';

export interface Versitygw extends AsyncDisposable {
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Whether it can be started; prints how to enable it where not. */
export function versitygwAvailable(): boolean {
  if (program() !== undefined) return true;
  console.warn('skipped: no versitygw; run npm test with Go installed, or set TEST_VERSITYGW to its path');
  return false;
}

function program(): string | undefined {
  const given = process.env['TEST_VERSITYGW'];
  if (given !== undefined) return existsSync(given) ? given : undefined;
  const built = new URL('../../node_modules/.cache/longshore/bin/versitygw', import.meta.url).pathname;
  return existsSync(built) ? built : undefined;
}

const START_MS_MAX = 20_000;

/** Undefined where it is not installed. */
export async function startVersitygw(): Promise<Versitygw | undefined> {
  const path = program();
  if (path === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'longshore-versitygw-'));
  await Promise.all(['data', 'versions'].map((name) => mkdir(join(folder, name))));
  const port = await freePort();
  const [accessKeyId, secretAccessKey] = ['longshore', 'longshore-test'];
  const child = spawn(
    path,
    [
      '--port',
      `127.0.0.1:${port}`,
      '--region',
      'us-east-1',
      'posix',
      '--versioning-dir',
      join(folder, 'versions'),
      join(folder, 'data'),
    ],
    {
      cwd: folder,
      stdio: 'ignore',
      env: { ...process.env, ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
    },
  );
  const url = `http://127.0.0.1:${port}`;
  const ended = once(child, 'exit');
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null) child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const deadline = Date.now() + START_MS_MAX;
  for (;;) {
    const answered = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answered) break;
    if (child.exitCode !== null || Date.now() > deadline) {
      await dispose();
      throw new Error(`versitygw did not start (exit code ${child.exitCode})`);
    }
    await wait(50);
  }
  return { url, accessKeyId, secretAccessKey, [Symbol.asyncDispose]: dispose };
}

/** Makes buckets, which Longshore itself never does. */
export async function createBuckets(
  server: Pick<Versitygw, 'url' | 'accessKeyId' | 'secretAccessKey'>,
  names: readonly string[],
): Promise<void> {
  const credentials = {
    accessKeyId: server.accessKeyId,
    secretAccessKey: new Secret(server.secretAccessKey),
  };
  const signer = new Signer(credentials, 'us-east-1');
  for (const name of names) {
    const flat = signer.sign('PUT', new URL(server.url).host, `/${name}`, '', [], EMPTY_SHA256, Date.now());
    const headers: Record<string, string> = {};
    for (let i = 0; i < flat.length; i += 2) headers[flat[i]!] = flat[i + 1]!;
    const response = await fetch(`${server.url}/${name}`, { method: 'PUT', headers });
    if (!response.ok)
      throw new Error(`cannot make the bucket ${name}: ${response.status} ${await response.text()}`);
  }
}
