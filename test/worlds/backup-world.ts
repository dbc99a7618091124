/** A world for backups by the program: a bucket behind a proxy, folders of its own, and the processes that it starts. */

import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { type S3Server, type S3ServerOptions, startS3Server } from '../../src/embedded/s3/server.ts';
import { systemClock } from '../../src/flow/clock.ts';
import { type Attempt, readLastAttempt } from '../../src/jobs/backup/last-attempt.ts';
import { type BackupCatalogue, readCatalogue } from '../../src/jobs/backup/repository.ts';
import { listKeys } from '../../src/stores/list-keys.ts';
import type { ObjectStore } from '../../src/stores/object-store.ts';
import { staticCredentials } from '../../src/stores/s3/credentials.ts';
import { S3Wire } from '../../src/stores/s3/wire.ts';
import { elements } from '../../src/stores/s3/xml.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { testStore } from '../servers/s3-store.ts';

export const BUCKET = 'backups';
/** A table of about 64 MB in a dump and of a few in the server, which compresses it. */
export const BIG_ROWS = 8_000;

export interface BackupWorld extends AsyncDisposable {
  readonly folder: string;
  /** The program's home, temporary folder, and store. */
  readonly env: Record<string, string>;
  readonly proxy: FaultProxy;
  readonly s3: S3Server;
  readonly store: ObjectStore;
  /** Below `prefix`, without it. */
  keys(prefix: string): Promise<string[]>;
  /** Multipart uploads that are open below `prefix`. */
  uploads(prefix: string): Promise<number>;
  /** The backups below `prefix`. @throws for one whose files are not what its manifest says */
  wholeBackups(prefix: string): Promise<BackupCatalogue['backups']>;
  lastAttempt(prefix: string): Promise<Attempt | undefined>;
  /** What attempts said, in order. */
  logged(): string[];
  /** Folders with passwords or parts of dumps that were left. */
  temporaryFolders(): string[];
}

export async function createBackupWorld(options: S3ServerOptions = {}): Promise<BackupWorld> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'longshore-e2e-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  // Servers are started by another user where this one is root.
  chmodSync(folder, 0o755);
  chmodSync(temporary, 0o1777);
  const s3 = stack.use(await startS3Server({ buckets: [BUCKET], folder: join(folder, 's3'), ...options }));
  const proxy = stack.use(await startFaultProxy(s3.url));
  const store = stack.use(testStore(s3, BUCKET));
  const wire = stack.use(
    new S3Wire({
      endpoint: new URL(s3.url),
      region: 'us-east-1',
      addressing: 'path',
      bucket: BUCKET,
      credentials: staticCredentials(s3.accessKeyId, s3.secretAccessKey),
      clock: systemClock,
      connectionsMax: 2,
      timeoutMs: 5_000,
      requesterPays: false,
    }),
  );
  const keys = async (prefix: string): Promise<string[]> => {
    const all = await Array.fromAsync(listKeys(store, prefix));
    return all.map((key) => key.slice(prefix.length));
  };
  const owned = stack.move();
  return {
    folder,
    env: {
      TMPDIR: temporary,
      AWS_ENDPOINT_URL: proxy.url,
      AWS_ACCESS_KEY_ID: s3.accessKeyId,
      AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
      AWS_REGION: 'us-east-1',
    },
    proxy,
    s3,
    store,
    keys,
    uploads: async (prefix) => {
      const query: [string, string][] = [
        ['prefix', prefix],
        ['uploads', ''],
      ];
      const answer = await wire.send({ method: 'GET', query });
      return [...elements(answer.body, 'Upload')].length;
    },
    wholeBackups: async (prefix) => {
      const { backups, unreadable } = await readCatalogue({ store, prefix });
      if (unreadable.length > 0) throw new Error(unreadable.join('; '));
      for (const { manifest } of backups) {
        for (const { key, bytes, sha256 } of manifest.files) {
          const body = await buffer((await store.get({ key: prefix + key }))!.body);
          const found = createHash('sha256').update(body).digest('hex');
          if (body.byteLength !== bytes || found !== sha256)
            throw new Error(`${key} is not what its manifest says`);
        }
      }
      return backups;
    },
    lastAttempt: (prefix) => readLastAttempt({ store, prefix }),
    logged: () => {
      const log = join(folder, '.longshore', 'backup-log');
      return readdirSync(log)
        .sort()
        .flatMap((name) => readFileSync(join(log, name), 'utf8').trim().split('\n'))
        .map((line) => line.split(',').slice(2).join(','));
    },
    temporaryFolders: () => readdirSync(temporary).filter((name) => name.startsWith('longshore-')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export interface ProcessSeen {
  readonly pid: number;
  /** Its arguments, each followed by a zero. */
  readonly commandLine: Buffer;
  readonly environment: Buffer;
}

/** Processes that this one started, and that those started; of Linux. */
export function descendants(of = process.pid): ProcessSeen[] {
  return children(of).flatMap((pid) => [
    { pid, commandLine: read(`/proc/${pid}/cmdline`), environment: read(`/proc/${pid}/environ`) },
    ...descendants(pid),
  ]);
}

function children(of: number): number[] {
  let threads: string[];
  try {
    threads = readdirSync(`/proc/${of}/task`);
  } catch {
    return [];
  }
  const text = threads
    .map((thread) => read(`/proc/${of}/task/${thread}/children`).toString('latin1'))
    .join(' ');
  return text
    .split(' ')
    .filter((pid) => pid !== '')
    .map(Number);
}

/** Empty of a process that has ended meanwhile. */
function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Waits for a condition. @throws after half a minute */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await wait(5);
  }
}
