/**
 * Full load and change stream of one table, as ratios of what the server itself takes: `node bench/replicate/run.ts
 * --rows 3000000 --changes 1400000 --python venv/bin/python`. The table has bigint, uuid, text, numeric(12,2), int, timestamptz, boolean and
 * jsonb columns. With --python the same table is loaded by dlt, too.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { measure } from '../move/measure.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '3000000' },
    changes: { type: 'string', default: '1400000' },
    bin: { type: 'string' },
    // Of an environment with dlt[parquet], connectorx and psycopg2; without it no peer runs.
    python: { type: 'string' },
  },
});
const rows = Number(values.rows);
const changes = Number(values.changes);
const program = fileURLToPath(new URL('../../bin/longshore.mjs', import.meta.url));
const peer = fileURLToPath(new URL('peer_dlt.py', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'longshore-bench-'));
await using postgres = await startPostgres(values.bin === undefined ? {} : { binFolder: values.bin });
const client = new pg.Client({ connectionString: postgres.url });
client.on('error', () => undefined);
await client.connect();
const tool = (name: string): string => (values.bin === undefined ? name : join(values.bin, name));

try {
  await client.query('CREATE EXTENSION IF NOT EXISTS pgcrypto');
  await client.query(`CREATE TABLE t (id bigint PRIMARY KEY, u uuid, name text, amount numeric(12,2), n int,
    created timestamptz, flag boolean, doc jsonb)`);
  await client.query(
    `INSERT INTO t SELECT g, gen_random_uuid(), 'name ' || g || ' ' || md5(g::text), (random() * 100000)::numeric(12,2), g % 1000,
      now() + g * interval '1 second', g % 3 = 0, jsonb_build_object('a', g, 'b', 'text ' || g % 100)
     FROM generate_series(1, $1::int) g`,
    [rows],
  );
  await client.query('VACUUM ANALYZE t');
  process.stdout.write(`${rows.toLocaleString('en-US')} rows\n\n`);
  process.stdout.write(
    '| full load | seconds | over psql COPY | CPU s per million rows | peak MB |\n| --- | --- | --- | --- | --- |\n',
  );
  const copy = (): number => timed(tool('psql'), [postgres.url, '-qc', 'COPY t TO STDOUT (FORMAT binary)']);
  copy();
  const baseline = Math.min(copy(), copy());
  process.stdout.write(`| psql COPY binary to /dev/null | ${baseline.toFixed(2)} | 1.00 | | |\n`);
  for (const compression of ['zstd', 'snappy']) {
    const {
      seconds,
      cpuSeconds,
      peakBytes = 0,
    } = await replicate(`load_${compression}`, '--mode', 'full-load', '--compression', compression);
    process.stdout.write(
      `| longshore, ${compression} | ${seconds.toFixed(2)} | ${(seconds / baseline).toFixed(2)} | ${((cpuSeconds / rows) * 1e6).toFixed(2)} | ${Math.round(peakBytes / 1e6)} |\n`,
    );
  }
  for (const backend of values.python === undefined ? [] : ['pyarrow', 'connectorx']) {
    const to = join(folder, `dlt_${backend}`);
    mkdirSync(to, { recursive: true });
    const {
      seconds,
      cpuSeconds,
      peakBytes = 0,
    } = await measure([values.python!, peer, postgres.url, 't', to, backend], {});
    process.stdout.write(
      `| dlt, ${backend} | ${seconds.toFixed(2)} | ${(seconds / baseline).toFixed(2)} | ${((cpuSeconds / rows) * 1e6).toFixed(2)} | ${Math.round(peakBytes / 1e6)} |\n`,
    );
  }
  await changeStream();
} finally {
  await client.end();
  rmSync(folder, { recursive: true, force: true });
}

/** One transaction of most of the changes, and many small ones. */
async function changeStream(): Promise<void> {
  if (changes === 0) return;
  await client.query(
    'CREATE TABLE c (id bigint PRIMARY KEY, name text, amount numeric(12,2), created timestamptz)',
  );
  await client.query('CREATE PUBLICATION probe FOR TABLE c');
  await client.query("SELECT pg_create_logical_replication_slot('probe', 'pgoutput')");
  await replicate('stream', '--mode', 'cdc', '--tables', 'c', '--until-caught-up');
  await client.query(
    `INSERT INTO c SELECT g, 'name ' || g || ' ' || md5(g::text), random() * 1000, now() FROM generate_series(1, $1::int) g`,
    [changes],
  );
  const { rows: end } = await client.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
  const options = ['-o', 'proto_version=2', '-o', 'publication_names=probe', '-o', 'streaming=on'];
  const baseline = timed(tool('pg_recvlogical'), [
    ...[
      '-d',
      postgres.url,
      '-S',
      'probe',
      '--start',
      '-f',
      '/dev/null',
      '--endpos',
      end[0]!.lsn,
      '--no-loop',
    ],
    ...options,
  ]);
  const {
    seconds,
    cpuSeconds,
    peakBytes = 0,
  } = await replicate('stream', '--mode', 'cdc', '--tables', 'c', '--until-caught-up');
  process.stdout.write(
    `\n${changes.toLocaleString('en-US')} changes\n\n| change stream | seconds | over pg_recvlogical | CPU µs a change | peak MB |\n| --- | --- | --- | --- | --- |\n` +
      `| pg_recvlogical to /dev/null | ${baseline.toFixed(2)} | 1.00 | | |\n` +
      `| longshore | ${seconds.toFixed(2)} | ${(seconds / baseline).toFixed(2)} | ${((cpuSeconds / changes) * 1e6).toFixed(1)} | ${Math.round(peakBytes / 1e6)} |\n`,
  );
}

function replicate(name: string, ...more: string[]) {
  const to = join(folder, name);
  mkdirSync(to, { recursive: true });
  return measure(
    [
      process.execPath,
      program,
      'replicate',
      '--from',
      postgres.url,
      '--to',
      `file://${to}/`,
      '--name',
      name,
      '--json',
      ...more,
    ],
    {},
  );
}

function timed(command: string, args: readonly string[]): number {
  const started = performance.now();
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`${command} ended with ${status} ${error?.message ?? ''}`);
  return (performance.now() - started) / 1000;
}
