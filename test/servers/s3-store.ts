/** An S3 store over a server of the tests, without wrappers. */

import { systemClock } from '../../src/flow/clock.ts';
import { staticCredentials } from '../../src/stores/s3/credentials.ts';
import { AWS_LIMITS, type S3Limits } from '../../src/stores/s3/s3-client.ts';
import { S3Store } from '../../src/stores/s3/s3-store.ts';

export interface TestServer {
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export function testStore(
  server: TestServer,
  bucket: string,
  options: { limits?: Partial<S3Limits>; timeoutMs?: number } = {},
): S3Store {
  return new S3Store({
    bucket,
    endpoint: new URL(server.url),
    region: 'us-east-1',
    addressing: 'path',
    credentials: staticCredentials(server.accessKeyId, server.secretAccessKey),
    identity: server.accessKeyId,
    clock: systemClock,
    connectionsMax: 16,
    timeoutMs: options.timeoutMs ?? 10_000,
    requesterPays: false,
    limits: { ...AWS_LIMITS, ...options.limits },
  });
}
