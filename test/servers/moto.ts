/** Moto's server for tests: it has the settings of buckets that AWS has, and keeps what it was told in memory. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '../../src/embedded/postgres.ts';
import type { TestServer } from './s3-store.ts';

const START_MS_MAX = 30_000;

/** Whether it can be started; prints how to enable it where not. */
export function motoAvailable(): boolean {
  const given = process.env['TEST_MOTO'];
  if (given !== undefined && existsSync(given)) return true;
  console.warn("skipped: no moto; pip install 'moto[server]', and set TEST_MOTO to the path of moto_server");
  return false;
}

export async function startMoto(): Promise<TestServer & AsyncDisposable> {
  const port = await freePort();
  const child = spawn(process.env['TEST_MOTO']!, ['--host', '127.0.0.1', '--port', String(port)], {
    stdio: 'ignore',
    // Without its own settings of the caller, and no word to AWS itself.
    env: { PATH: process.env['PATH'], AWS_EC2_METADATA_DISABLED: 'true' },
  });
  const url = `http://127.0.0.1:${port}`;
  const ended = once(child, 'exit');
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null) child.kill('SIGKILL');
    await ended;
  };
  const deadlineMs = Date.now() + START_MS_MAX;
  while (!(await answers(url))) {
    if (child.exitCode !== null || Date.now() > deadlineMs) {
      await dispose();
      throw new Error(`moto did not start (exit code ${child.exitCode})`);
    }
    await wait(50);
  }
  return { url, accessKeyId: 'testing', secretAccessKey: 'testing', [Symbol.asyncDispose]: dispose };
}

async function answers(url: string): Promise<boolean> {
  return fetch(`${url}/moto-api/data.json`).then(
    () => true,
    () => false,
  );
}
