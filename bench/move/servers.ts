/** The S3 server that a benchmark runs against, in a process of its own. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface BenchServer extends AsyncDisposable {
  readonly url: string;
  readonly env: Record<string, string>;
  /** Requests answered so far, where the server counts them. */
  requests(): Promise<number | undefined>;
}

export async function startBenchServer(kind: string): Promise<BenchServer> {
  if (kind === 'versitygw') return startVersity();
  const main = fileURLToPath(new URL('../../src/embedded/s3/main.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      main,
      '--port',
      '0',
      '--bucket',
      'legacy-s3',
      '--bucket',
      'production-s3',
      '--controls',
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const started = JSON.parse(line) as { url: string; accessKeyId: string; secretAccessKey: string };
  return {
    url: started.url,
    env: environment(started),
    async requests() {
      const response = await fetch(`${started.url}/_requests`);
      const counts = (await response.json()) as Record<string, number>;
      return Object.values(counts).reduce((sum, n) => sum + n, 0);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

async function startVersity(): Promise<BenchServer> {
  const { createBuckets, startVersitygw } = await import('../../test/servers/versitygw.ts');
  const server = await startVersitygw();
  if (server === undefined)
    throw new Error('versitygw is not installed; run npm test once, or set TEST_VERSITYGW');
  await createBuckets(server, ['legacy-s3', 'production-s3']);
  return {
    url: server.url,
    env: environment(server),
    requests: async () => undefined,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
    },
  };
}

function environment(server: {
  url: string;
  accessKeyId: string;
  secretAccessKey: string;
}): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: server.url,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
  };
}
