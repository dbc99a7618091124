/** The demo: an embedded PostgreSQL and S3 server, 2,000 avatars, a move under a reader's eyes, and the proof. */

import { formatBytes } from '../config/bytes.ts';
import { parseStoreUrl } from '../config/store-url.ts';
import { startPostgres } from '../embedded/postgres.ts';
import { startS3Server } from '../embedded/s3/server.ts';
import { systemClock } from '../flow/clock.ts';
import type { MoveListener } from '../jobs/move/events.ts';
import { move } from '../jobs/move/run.ts';
import type { MoveSummary } from '../jobs/move/summary.ts';
import { verifyMove } from '../jobs/move/verify.ts';
import { openStore } from '../stores/open-store.ts';
import { startReader } from './reader.ts';
import { seed } from './seed.ts';

export interface DemoOptions {
  readonly objects: number;
  /** Where the run's journal goes; removed with the demo. */
  readonly stateFolder: string;
  readonly say: (line: string) => void;
  readonly emit: MoveListener;
  readonly signal: AbortSignal;
}

export interface DemoResult {
  readonly summary: MoveSummary;
  readonly reads: number;
  readonly missing: number;
  readonly violations: number;
}

const LEGACY = 's3://legacy-s3/image/';
const PRODUCTION = 's3://production-s3/avatar/';

/** Runs the whole demo; everything it starts is stopped when it resolves. */
export async function runMoveDemo(options: DemoOptions): Promise<DemoResult> {
  const { say, signal } = options;
  say('starting an embedded PostgreSQL and an embedded S3 server …');
  await using postgres = await startPostgres();
  await using s3 = await startS3Server({ buckets: ['legacy-s3', 'production-s3'] });
  const env = {
    AWS_ENDPOINT_URL: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
  };
  const rows = `${postgres.url}#avatars.path`;
  say(
    `seeding ${options.objects.toLocaleString('en-US')} avatars: PNG files, half in ${LEGACY}, half in ${PRODUCTION} …`,
  );
  const seeded = await seed({ objects: options.objects, to: LEGACY, modern: PRODUCTION, rows, env, signal });
  say(`seeded ${formatBytes(seeded.bytes)}; a reader now resolves random rows and fetches their objects`);

  await using legacy = await openStore(parseStoreUrl(LEGACY), { env, clock: systemClock });
  await using production = await openStore(parseStoreUrl(PRODUCTION), { env, clock: systemClock });
  const reader = startReader(postgres.url, options.objects, async (path) => {
    const { store } = path.startsWith('image/') ? legacy : production;
    return (await store.head(path)) !== undefined;
  });
  let seen = { reads: 0, missing: 0 };
  let summary: MoveSummary;
  const moveOptions = { from: LEGACY, to: PRODUCTION, rows, delete: '2s', orphans: 'report' } as const;
  try {
    summary = await move(moveOptions, { env, stateFolder: options.stateFolder, emit: options.emit, signal });
  } finally {
    seen = await reader.stop();
  }
  say('reading bucket and table again to prove the result …');
  const verified = await verifyMove(moveOptions, { env, stateFolder: options.stateFolder, signal });
  return { summary, ...seen, violations: verified.violations.length };
}
