/**
 * One large transaction through the change stream, and what it takes of memory and disk: `node
 * bench/replicate/large-transaction.ts --rows 10000000`. The table has bigint, text, numeric(12,2) and timestamptz columns;
 * `--tables 80` spreads the rows over as many tables, `--text 10000` is how long a text is; `--to s3` lands in an S3 server
 * on this machine instead of a folder.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { measure } from '../move/measure.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    tables: { type: 'string', default: '1' },
    text: { type: 'string', default: '45' },
    to: { type: 'string', default: 'files' },
    bin: { type: 'string' },
  },
});
const rows = Number(values.rows);
const tables = Number(values.tables);
const md5s = Math.max(1, Math.floor(Number(values.text) / 32));
const pathOf = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const SAMPLE_MS = 100;

const folder = mkdtempSync(join(tmpdir(), 'longshore-bench-'));
await using stack = new AsyncDisposableStack();
stack.defer(() => rmSync(folder, { recursive: true, force: true }));
const postgres = stack.use(await startPostgres(values.bin === undefined ? {} : { binFolder: values.bin }));
const client = new pg.Client({ connectionString: postgres.url });
client.on('error', () => undefined);
await client.connect();
stack.defer(() => client.end());
const temporary = join(folder, 'tmp');
mkdirSync(temporary);
const { to, env } = values.to === 's3' ? await bucket() : lakeFolder();

const names = Array.from({ length: tables }, (_, i) => `c${i + 1}`);
for (const name of names) {
  await client.query(
    `CREATE TABLE ${name} (id bigint PRIMARY KEY, name text, amount numeric(12,2), created timestamptz)`,
  );
}
await replicate();
const startedMs = performance.now();
await client.query('BEGIN');
const text =
  md5s === 1
    ? 'md5(g::text)'
    : `(SELECT string_agg(md5(g::text || n), '') FROM generate_series(1, ${md5s}) n)`;
for (const name of names) {
  await client.query(
    `INSERT INTO ${name} SELECT g, 'name ' || g || ' ' || ${text}, random() * 1000, now() FROM generate_series(1, $1::int) g`,
    [Math.ceil(rows / tables)],
  );
}
await client.query('COMMIT');
const insertSeconds = (performance.now() - startedMs) / 1000;
const peaks = { spool: 0, files: 0 };
const sampler = setInterval(sample, SAMPLE_MS);
const { seconds, cpuSeconds, peakBytes = 0 } = await replicate();
clearInterval(sampler);
const mb = (bytes: number): number => Math.round(bytes / 1e6);
process.stdout.write(
  `one transaction of ${rows.toLocaleString('en-US')} rows in ${tables} ${tables === 1 ? 'table' : 'tables'}, written in ${insertSeconds.toFixed(0)} s, to ${values.to}\n\n` +
    '| seconds | changes/s | CPU µs a change | peak MB of memory | of the spool | of files before they are landed |\n' +
    '| --- | --- | --- | --- | --- | --- |\n' +
    `| ${seconds.toFixed(1)} | ${Math.round(rows / seconds).toLocaleString('en-US')} | ${((cpuSeconds / rows) * 1e6).toFixed(1)} | ` +
    `${mb(peakBytes)} | ${mb(peaks.spool)} | ${mb(peaks.files)} |\n`,
);

function replicate() {
  const flags = ['--mode', 'cdc', '--until-caught-up', '--json'];
  return measure(
    [
      process.execPath,
      pathOf('bin/longshore.mjs'),
      'replicate',
      '--from',
      postgres.url,
      '--to',
      to,
      ...flags,
    ],
    { ...env, TMPDIR: temporary },
  );
}

function lakeFolder() {
  const lake = join(folder, 'lake');
  mkdirSync(lake);
  return { to: `file://${lake}/`, env: {} };
}

/** In a process of its own, which is not measured. */
async function bucket() {
  const server = spawn(
    process.execPath,
    [pathOf('src/embedded/s3/main.ts'), '--folder', join(folder, 's3'), '--bucket', 'lake'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  stack.defer(() => void server.kill());
  const [line] = (await once(createInterface(server.stdout), 'line')) as [string];
  const { url, accessKeyId, secretAccessKey } = JSON.parse(line) as Record<string, string>;
  return {
    to: 's3://lake/shop/',
    env: {
      AWS_ENDPOINT_URL: url!,
      AWS_ACCESS_KEY_ID: accessKeyId!,
      AWS_SECRET_ACCESS_KEY: secretAccessKey!,
      AWS_REGION: 'us-east-1',
    },
  };
}

function sample(): void {
  const now = { spool: 0, files: 0 };
  for (const name of readdirSync(temporary, { recursive: true }) as string[]) {
    const kind = name.endsWith('.spool') ? 'spool' : name.endsWith('.parquet') ? 'files' : undefined;
    if (kind !== undefined) now[kind] += sizeOf(join(temporary, name));
  }
  peaks.spool = Math.max(peaks.spool, now.spool);
  peaks.files = Math.max(peaks.files, now.files);
}

function sizeOf(path: string): number {
  // It may have gone since the folder was read.
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
