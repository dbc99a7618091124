/** A small world for end-to-end tests: servers, a bucket on each side, a table, and the built program. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { parseStoreUrl } from '../../src/config/store-url.ts';
import { seed } from '../../src/demo/seed.ts';
import { startS3Server } from '../../src/embedded/s3/server.ts';
import { systemClock } from '../../src/flow/clock.ts';
import type { ObjectStore } from '../../src/stores/object-store.ts';
import { openStore } from '../../src/stores/open-store.ts';
import { type PostgresServer, type PostgresTestDatabase, postgresServer } from '../servers/postgres.ts';
import { createBuckets, startVersitygw, type Versitygw } from '../servers/versitygw.ts';

export interface World extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly rows: string;
  readonly env: Record<string, string>;
  readonly folder: string;
  readonly pool: pg.Pool;
  readonly legacy: ObjectStore;
  readonly production: ObjectStore;
}

export const FROM = 's3://legacy-s3/image/';
export const TO = 's3://production-s3/avatar/';

export interface WorldOptions {
  /** Without an index on the column rows drive a move. */
  readonly indexed?: boolean;
  readonly store?: 'embedded' | 'versitygw';
}

/** Seeds `objects` avatars, half of them in the old place. @param shared a server to use; else one is started */
export async function createWorld(
  objects: number,
  shared?: PostgresServer,
  { indexed = true, store = 'embedded' }: WorldOptions = {},
): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const server = shared ?? stack.use(await postgresServer());
  const database = await server.createDatabase();
  const s3 = stack.use(await startStore(store));
  const env = {
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
  const rows = `${database.url}#avatars.path`;
  await seed({ objects, to: FROM, modern: TO, rows, env });
  if (!indexed) await dropIndexes(database);
  const folder = mkdtempSync(join(tmpdir(), 'longshore-e2e-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const pool = new pg.Pool({ connectionString: database.url, max: 6 });
  stack.defer(() => pool.end());
  const legacy = stack.use(await openStore(parseStoreUrl(FROM), { env, clock: systemClock }));
  const production = stack.use(await openStore(parseStoreUrl(TO), { env, clock: systemClock }));
  const owned = stack.move();
  return {
    databaseUrl: database.url,
    rows,
    env,
    folder,
    pool,
    legacy: legacy.store,
    production: production.store,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startStore(store: 'embedded' | 'versitygw'): Promise<Versitygw> {
  if (store === 'embedded') return startS3Server({ buckets: ['legacy-s3', 'production-s3'] });
  const server = await startVersitygw();
  if (server === undefined) throw new Error('versitygw is not installed');
  await createBuckets(server, ['legacy-s3', 'production-s3']);
  return server;
}

async function dropIndexes(database: PostgresTestDatabase): Promise<void> {
  const indexes = await database.sql(
    "SELECT indexname AS name FROM pg_indexes WHERE tablename = 'avatars' AND indexname NOT LIKE '%pkey'",
  );
  for (const { name } of indexes) await database.sql(`DROP INDEX "${String(name)}"`);
}

export interface ProgramResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const PROGRAM = fileURLToPath(new URL('../../bin/longshore.mjs', import.meta.url));

/** Calls `then` each time the program has written `text`. */
type OnOutput = (text: string, then: () => void | Promise<void>) => void;

/** Runs the program. @param onStart is given a way to kill it, and one to watch its standard error */
export function runProgram(
  world: Pick<World, 'env' | 'folder'>,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onStart?: (kill: (signal: NodeJS.Signals) => void, onOutput: OnOutput) => void,
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      cwd: world.folder,
      env: programEnv(world, env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    const watched: { text: string; then: () => void | Promise<void> }[] = [];
    child.stdout.on('data', (chunk) => (stdout += String(chunk)));
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
      for (const { text, then } of watched) if (String(chunk).includes(text)) void then();
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    onStart?.(
      (name) => child.kill(name),
      (text, then) => watched.push({ text, then }),
    );
  });
}

/** The environment that the program gets: nothing of ours besides what is named. */
export function programEnv(
  world: Pick<World, 'env' | 'folder'>,
  env: Readonly<Record<string, string>>,
): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: world.folder, ...world.env, ...env };
}

export function moveArgs(world: World, ...more: string[]): string[] {
  return ['move', '--from', FROM, '--to', TO, '--rows', world.rows, ...more];
}
