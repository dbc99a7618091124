/** Two buckets on the embedded S3 server, and the environment with which a move finds them. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseStoreUrl } from '../../src/config/store-url.ts';
import { type S3Server, startS3Server } from '../../src/embedded/s3/server.ts';
import { type Clock, systemClock } from '../../src/flow/clock.ts';
import type { MoveEvent } from '../../src/jobs/move/events.ts';
import type { ObjectStore } from '../../src/stores/object-store.ts';
import { openStore } from '../../src/stores/open-store.ts';

export const FROM = 's3://legacy-s3/image/';
export const TO = 's3://production-s3/avatar/';

/** The clock of the system, on which no wait lasts. */
const IMPATIENT: Clock = { ...systemClock, wait: async (_, signal) => signal?.throwIfAborted() };

export interface MoveWorld extends AsyncDisposable {
  readonly s3: S3Server;
  readonly legacy: ObjectStore;
  readonly production: ObjectStore;
  readonly stateFolder: string;
  readonly events: MoveEvent[];
  /** What `move` and its companions take. */
  readonly environment: {
    readonly env: Record<string, string>;
    readonly stateFolder: string;
    readonly clock: Clock;
    readonly emit: (event: MoveEvent) => void;
  };
}

export async function moveWorld(): Promise<MoveWorld> {
  await using stack = new AsyncDisposableStack();
  const stateFolder = mkdtempSync(join(tmpdir(), 'longshore-world-'));
  stack.defer(() => rmSync(stateFolder, { recursive: true, force: true }));
  const s3 = stack.use(await startS3Server({ buckets: ['legacy-s3', 'production-s3'] }));
  const env = {
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
  const open = async (url: string): Promise<ObjectStore> =>
    stack.use(await openStore(parseStoreUrl(url), { env, clock: systemClock })).store;
  const [legacy, production] = [await open(FROM), await open(TO)];
  const events: MoveEvent[] = [];
  const owned = stack.move();
  return {
    s3,
    legacy,
    production,
    stateFolder,
    events,
    environment: { env, stateFolder, clock: IMPATIENT, emit: (event) => events.push(event) },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function put(store: ObjectStore, key: string, text = key): Promise<void> {
  const body = Buffer.from(text);
  await store.put({ key, body, sizeBytes: body.byteLength, attributes: { metadata: {} }, ifAbsent: false });
}

/** Every key of the bucket, but for markers. */
export async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for (let startAfter: string | undefined; ; ) {
    const page = await store.list({ prefix: '', startAfter });
    keys.push(...page.objects.map(({ key }) => key));
    if (!page.more) return keys.filter((key) => !key.includes('.longshore-probe-'));
    startAfter = page.objects.at(-1)!.key;
  }
}
