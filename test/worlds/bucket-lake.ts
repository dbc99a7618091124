/** A replication into a bucket, behind a proxy that makes requests go wrong. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { startS3Server } from '../../src/embedded/s3/server.ts';
import type { ObjectStore } from '../../src/stores/object-store.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { testStore } from '../servers/s3-store.ts';
import { createBuckets, startVersitygw } from '../servers/versitygw.ts';
import { Lake } from './lake.ts';

export type StoreKind = 'embedded' | 'versitygw';

export interface BucketLake extends AsyncDisposable {
  /** Of a replication that goes through the proxy. */
  readonly env: Readonly<Record<string, string>>;
  readonly proxy: FaultProxy;
  /** The bucket itself, without the proxy. */
  readonly store: ObjectStore;
  /** Copies what lies below a prefix into a folder, and reads it there. */
  read(prefix: string, job: string): Promise<Lake>;
}

const BUCKET = 'lake';

/** @throws where versitygw is asked for and not installed */
export async function startBucketLake(kind: StoreKind = 'embedded'): Promise<BucketLake> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startStore(kind));
  const proxy = stack.use(await startFaultProxy(server.url));
  const store = stack.use(testStore(server, BUCKET));
  const folder = mkdtempSync(join(tmpdir(), 'longshore-lake-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  let reads = 0;
  const owned = stack.move();
  return {
    env: {
      AWS_ENDPOINT_URL: proxy.url,
      AWS_ACCESS_KEY_ID: server.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
      AWS_REGION: 'us-east-1',
    },
    proxy,
    store,
    read: async (prefix, job) => {
      const copy = join(folder, String(++reads));
      for (const { key } of await listAll(store, prefix)) {
        const path = join(copy, key.slice(prefix.length));
        mkdirSync(dirname(path), { recursive: true });
        await writeFile(path, await buffer((await store.get({ key }))!.body));
      }
      return new Lake(copy, job);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startStore(kind: StoreKind) {
  if (kind === 'embedded') return startS3Server({ buckets: [BUCKET] });
  const server = await startVersitygw();
  if (server === undefined) throw new Error('versitygw is not installed');
  await createBuckets(server, [BUCKET]);
  return server;
}

/** Every object below a prefix, in the order of keys. */
async function listAll(store: ObjectStore, prefix: string): Promise<{ readonly key: string }[]> {
  const found: { key: string }[] = [];
  for (let startAfter: string | undefined; ; ) {
    const { objects, more } = await store.list({ prefix, startAfter });
    found.push(...objects);
    startAfter = objects.at(-1)?.key;
    if (!more) return found;
  }
}
