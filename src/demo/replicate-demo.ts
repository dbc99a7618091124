/**
 * The demo of `replicate`: an embedded PostgreSQL and S3 server, a program that writes without pause, Parquet files that
 * appear meanwhile, then the proof, and DuckDB over the files.
 */

import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { parseStoreUrl } from '../config/store-url.ts';
import { openSession, type Session } from '../databases/postgres/open-session.ts';
import { quotedTable, readTables } from '../databases/postgres/table-catalogue.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { startS3Server } from '../embedded/s3/server.ts';
import { LongshoreError } from '../errors.ts';
import { systemClock } from '../flow/clock.ts';
import { forEachConcurrent } from '../flow/for-each-concurrent.ts';
import type { ReplicateListener } from '../jobs/replicate/events.ts';
import { type ReplicateEnvironment, replicate } from '../jobs/replicate/run.ts';
import type { ReplicateOptions } from '../jobs/replicate/settings.ts';
import { type ReplicateStatus, replicateStatus } from '../jobs/replicate/status.ts';
import { type VerifiedReplica, verifyReplica } from '../jobs/replicate/verify.ts';
import { listObjects } from '../stores/list-keys.ts';
import type { ListedObject, ObjectStore } from '../stores/object-store.ts';
import { openStore } from '../stores/open-store.ts';
import { pagilaSample } from './pagila-sample.ts';
import { type Grid, type LakeAnswer, queryLake } from './query-lake.ts';
import type { Sample, ShownTable } from './sample.ts';
import { shopSample } from './shop-sample.ts';
import { write } from './writer.ts';

export interface ReplicateDemoOptions {
  /** How long the program writes while changes are followed. */
  readonly seconds: number;
  /** With the scripts of pagila; a shop of our own where it is left out. */
  readonly sampleFolder: string | undefined;
  /** Gets a copy of the files. */
  readonly folder: string;
  readonly say: (line: string) => void;
  readonly emit: ReplicateListener;
  readonly signal: AbortSignal;
}

export interface ReplicateDemoResult {
  readonly to: string;
  /** Of the program. */
  readonly transactions: number;
  readonly status: ReplicateStatus;
  readonly verified: VerifiedReplica;
  readonly files: readonly ListedObject[];
  readonly shown: ShownTable;
  /** Undefined where DuckDB is not installed. */
  readonly lake: LakeAnswer | undefined;
  /** What PostgreSQL answers to the same. */
  readonly database: { readonly count: number; readonly aggregate: Grid };
}

const TO = 's3://lake/shop/';

/** Runs the whole demo; everything it starts is stopped when it resolves. */
export async function runReplicateDemo(options: ReplicateDemoOptions): Promise<ReplicateDemoResult> {
  const { say, emit, signal, folder } = options;
  const sample = options.sampleFolder === undefined ? shopSample : pagilaSample(options.sampleFolder);
  say('starting an embedded PostgreSQL and an embedded S3 server …');
  await using postgres = await startPostgres();
  await using s3 = await startS3Server({ buckets: ['lake'] });
  const env = {
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
  await loadSample(postgres.url, sample, say, signal);
  const job = { from: postgres.url, to: TO, every: '1s' } as const;
  const transactions = await replicateUnderWrites(job, { env, emit, signal }, sample, options);
  say('the program has stopped; landing the rest, and comparing every value of files and tables …');
  const verified = await verifyReplica(job, { env, emit, signal });

  await using opened = await openStore(parseStoreUrl(TO), { env, clock: systemClock });
  const { prefix } = parseStoreUrl(TO);
  const files = await Array.fromAsync(listObjects(opened.store, prefix, signal));
  await forEachConcurrent(files, 8, ({ key }) =>
    download(opened.store, key, join(folder, key.slice(prefix.length)), signal),
  );
  await using session = await open(postgres.url);
  return {
    to: TO,
    transactions,
    status: await replicateStatus({ to: TO, name: 'longshore' }, { env, signal }),
    verified,
    files,
    shown: sample.shown,
    lake: await queryLake(folder, sample.shown),
    database: await askDatabase(session, sample.shown),
  };
}

function open(url: string): Promise<Session> {
  const { connection, name } = parseDatabaseUrl(url, {});
  return openSession(connection, {
    doing: { action: `connect to ${name}`, database: name, user: connection.user },
  });
}

async function loadSample(
  url: string,
  sample: Sample,
  say: ReplicateDemoOptions['say'],
  signal: AbortSignal,
): Promise<void> {
  say(`loading ${sample.title} …`);
  // The scripts of a sample change settings of their session.
  await using loader = await open(url);
  await sample.load(loader, signal);
  const unidentified = (await readTables(loader.client)).filter(
    ({ primaryKey, replicaIdentity }) => primaryKey.length === 0 && replicaIdentity === 'd',
  );
  if (unidentified.length === 0) return;
  say(
    `without a primary key: ${unidentified.map(({ name }) => name).join(', ')}; their rows are known by all of their values (REPLICA IDENTITY FULL)`,
  );
  for (const table of unidentified)
    await loader.client.query(`ALTER TABLE ${quotedTable(table)} REPLICA IDENTITY FULL`);
}

/**
 * The program writes from before the full load on, and for a while after changes began to be followed; then following is
 * stopped.
 *
 * @returns how many transactions were committed
 */
async function replicateUnderWrites(
  job: ReplicateOptions,
  environment: ReplicateEnvironment & { readonly signal: AbortSignal },
  sample: Sample,
  { seconds, say }: ReplicateDemoOptions,
): Promise<number> {
  await using session = await open(job.from);
  const stop = new AbortController();
  const signal = AbortSignal.any([environment.signal, stop.signal]);
  let followedSinceMs: number | undefined;
  const emit: ReplicateListener = (event) => {
    if (event.type === 'following') followedSinceMs = systemClock.now();
    environment.emit?.(event);
  };
  say('a program begins to write: inserts, updates and deletions, in transactions of one row to hundreds');
  // Whichever ends first, however it ends, ends the other.
  const [written, replicated] = await Promise.allSettled([
    write(session, {
      sample,
      durationMs: seconds * 1000,
      followedSinceMs: () => followedSinceMs,
      nowMs: () => systemClock.now(),
      random: Math.random,
      onOnce: (what) => say(`  the program ${what}`),
      signal,
    }).finally(() => stop.abort(STOPPED)),
    replicate(job, { ...environment, emit, signal }).finally(() => stop.abort(STOPPED)),
  ]);
  const errors = [replicated, written].flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
  for (const error of errors) if (error !== STOPPED) throw error;
  if (written.status === 'rejected') throw written.reason;
  return written.value;
}

/** Why following ends in the demo. */
const STOPPED = new Error('the program has stopped');

async function download(store: ObjectStore, key: string, path: string, signal: AbortSignal): Promise<void> {
  const object = await store.get({ key }, signal);
  if (object === undefined) throw new LongshoreError('OBJECT_FAILED', `${store.name}/${key} is gone`);
  await mkdir(dirname(path), { recursive: true });
  await pipeline(object.body, createWriteStream(path), { signal });
}

async function askDatabase(
  { client }: Session,
  { schema, table, aggregate }: ShownTable,
): Promise<ReplicateDemoResult['database']> {
  const counted = await client.query<{ rows: string }>(
    `SELECT count(*)::text AS rows FROM ${schema}.${table}`,
  );
  const { fields, rows } = await client.query<(string | null)[]>({ text: aggregate, rowMode: 'array' });
  return {
    count: Number(counted.rows[0]!.rows),
    aggregate: {
      columns: fields.map(({ name }) => name),
      rows: rows.map((row) => row.map((value) => String(value ?? ''))),
    },
  };
}
