/**
 * Backups and restores of one PostgreSQL database, as ratios of what pg_dump and pg_restore take:
 * `node bench/backup/run.ts --rows 9000000 --bin /usr/lib/postgresql/15/bin --aws venv/bin/aws`. The S3 server is
 * versitygw on the same machine; 9,000,000 rows are about 2 GB with their indexes.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { type Measured, measure } from '../move/measure.ts';
import { startBenchServer } from '../move/servers.ts';
import { fillOrders } from '../orders.ts';
import { heading, line } from '../table.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '9000000' },
    // Of server and clients of one version.
    bin: { type: 'string', default: '/usr/lib/postgresql/15/bin' },
    rounds: { type: 'string', default: '2' },
    // The aws command line; without it that peer does not run.
    aws: { type: 'string' },
    only: { type: 'string' },
  },
});
const rows = Number(values.rows);
const rounds = Number(values.rounds);
const program = fileURLToPath(new URL('../../bin/longshore.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'longshore-bench-'));
await using postgres = await startPostgres({ binFolder: values.bin });
await using s3 = await startBenchServer('versitygw');
const client = new pg.Client({ connectionString: postgres.url });
client.on('error', () => undefined);
await client.connect();
const tool = (name: string): string => join(values.bin, name);
const shell = (text: string): Promise<Measured> =>
  measure(['bash', '-c', `set -o pipefail; ${text}`], s3.env);
const longshore = (...args: string[]): Promise<Measured> =>
  measure([process.execPath, program, ...args, '--json'], { ...s3.env, ...LOG });
const LOG = { TMPDIR: folder };
let databases = 0;

try {
  await fillOrders(client, rows);
  const { rows: size } = await client.query<{ size: string }>(
    'SELECT pg_size_pretty(pg_database_size(current_database())) AS size',
  );
  process.stdout.write(`${rows.toLocaleString('en-US')} rows, ${size[0]!.size}\n\n`);
  if (wanted('dump')) await dumps();
  if (wanted('split')) await splits();
  if (wanted('restore')) await restores();
} finally {
  await client.end();
  rmSync(folder, { recursive: true, force: true });
}

function wanted(part: string): boolean {
  return values.only === undefined || values.only.split(',').includes(part);
}

async function dumps(): Promise<void> {
  heading('one stream', 'pg_dump, zstd -3');
  const baseline = await best(() =>
    shell(`${tool('pg_dump')} -Fc -Z0 ${postgres.url} | zstd -3 -q > /dev/null`),
  );
  line('pg_dump -Fc -Z0 \\| zstd -3 > /dev/null', baseline, baseline);
  const own = await best(() =>
    longshore('backup', '--database', postgres.url, '--to', 's3://production-s3/custom/'),
  );
  line('**longshore backup**, to S3', own, baseline);
  line(
    'pg_dump -Fc -Z1 > /dev/null (gzip)',
    await shell(`${tool('pg_dump')} -Fc -Z1 ${postgres.url} > /dev/null`),
    baseline,
  );
  if (values.aws === undefined) return;
  const piped = `${tool('pg_dump')} -Fc -Z0 ${postgres.url} | zstd -3 -q | ${values.aws} s3 cp - s3://production-s3/piped.dump --quiet`;
  line('pg_dump \\| zstd -3 \\| aws s3 cp -', await shell(piped), baseline);
}

async function splits(): Promise<void> {
  heading('several connections', 'pg_dump -Fd -j2');
  const directory = join(folder, 'directory');
  const dump = async (more: string): Promise<Measured> => {
    rmSync(directory, { recursive: true, force: true });
    return await shell(`${tool('pg_dump')} -Fd -j2 ${more} -f ${directory} ${postgres.url}`);
  };
  const baseline = await best(() => dump(''));
  line('pg_dump -Fd -j2, to the disk', baseline, baseline);
  line('pg_dump -Fd -j2 -Z1, to the disk', await dump('-Z1'), baseline);
  line('pg_dump -Fd -j2 -Z0, to the disk', await dump('-Z0'), baseline);
  const own = await best(() =>
    longshore('backup', '--database', postgres.url, '--to', 's3://production-s3/split/', '--format', 'split'),
  );
  line('**longshore backup --format split**, to S3', own, baseline);
}

async function restores(): Promise<void> {
  heading('restore', 'pg_restore -j2');
  const archive = join(folder, 'archive');
  execFileSync(tool('pg_dump'), ['-Fc', '-Z1', '-f', archive, postgres.url]);
  await longshore('backup', '--database', postgres.url, '--to', 's3://production-s3/r-custom/');
  await longshore(
    'backup',
    '--database',
    postgres.url,
    '--to',
    's3://production-s3/r-split/',
    '--format',
    'split',
  );
  const baseline = await best(async () => shell(`${tool('pg_restore')} -j2 -d ${await fresh()} ${archive}`));
  line('pg_restore -j2, from the disk', baseline, baseline);
  for (const [what, prefix] of [
    ['the split form', 'r-split'],
    ['the custom form', 'r-custom'],
  ] as const) {
    const from = `s3://production-s3/${prefix}/`;
    let least: Restored | undefined;
    const whole = await best(async () => {
      const to = await fresh();
      const out = join(folder, 'restored.json');
      const command = `${process.execPath} ${program} restore --from ${from} --to ${to} --json > ${out}`;
      const measured = await measure(['bash', '-c', command], { ...s3.env, ...LOG });
      const restored = JSON.parse(readFileSync(out, 'utf8')) as Restored;
      if (least === undefined || restored.restoreMs < least.restoreMs) least = restored;
      return measured;
    });
    const alone = { ...whole, seconds: whole.seconds - least!.compareMs / 1000 };
    line(`**longshore restore** of ${what}, without its comparison`, alone, baseline);
    line(`longshore restore of ${what}, with its comparison`, whole, baseline);
  }
}

interface Restored {
  readonly restoreMs: number;
  readonly compareMs: number;
}

/** The URL of an empty database; the one before is dropped. */
async function fresh(): Promise<string> {
  await client.query(`DROP DATABASE IF EXISTS copy_${databases}`);
  databases++;
  await client.query(`CREATE DATABASE copy_${databases} TEMPLATE template0`);
  await client.query('CHECKPOINT');
  const url = new URL(postgres.url);
  url.pathname = `/copy_${databases}`;
  return url.href;
}

async function best(run: () => Promise<Measured>): Promise<Measured> {
  let least = await run();
  for (let round = 1; round < rounds; round++) {
    const other = await run();
    if (other.seconds < least.seconds) least = other;
  }
  return least;
}
