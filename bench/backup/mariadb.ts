/**
 * Backups and restores of one MariaDB database, as ratios of what mariadb-dump and mariadb take:
 * `node bench/backup/mariadb.ts --rows 6000000`. The S3 server is versitygw on the same machine; mydumper runs where it is installed.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { startMariadb } from '../../src/embedded/mariadb.ts';
import { type Measured, measure } from '../move/measure.ts';
import { startBenchServer } from '../move/servers.ts';
import { heading, line } from '../table.ts';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '6000000' }, rounds: { type: 'string', default: '2' } },
});
const rows = Number(values.rows);
const rounds = Number(values.rounds);
const program = fileURLToPath(new URL('../../bin/longshore.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'longshore-bench-'));
await using mariadb = await startMariadb();
await using s3 = await startBenchServer('versitygw');
const { hostname: host, port, username: user, password } = new URL(mariadb.url);
await using client = await createConnection({ host, port: Number(port), user, password });
const access = `--host=${host} --port=${port} --user=${user}`;
const env = { ...s3.env, MYSQL_PWD: password, TMPDIR: folder };
const shell = (text: string): Promise<Measured> => measure(['bash', '-c', `set -o pipefail; ${text}`], env);
const longshore = (text: string): Promise<Measured> => shell(`${process.execPath} ${program} ${text} --json`);
const urlOf = (database: string): string => {
  const url = new URL(mariadb.url);
  url.pathname = `/${database}`;
  return url.href;
};
let databases = 0;

try {
  await fill();
  await dumps();
  await restores();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** A large table of orders with an index, and a smaller one of notes: as those of PostgreSQL. */
async function fill(): Promise<void> {
  for (const text of [
    'CREATE DATABASE shop CHARACTER SET utf8mb4',
    'USE shop',
    `CREATE TABLE orders (id bigint PRIMARY KEY, customer int, name text, amount decimal(12,2), created datetime(6),
       paid boolean, doc longtext, KEY (customer))`,
    'CREATE TABLE notes (id bigint PRIMARY KEY, orders_id bigint, body text)',
    `INSERT INTO orders SELECT seq, seq % 100000, CONCAT('name ', seq, ' ', MD5(seq)), RAND() * 100000,
       '2026-01-01' + INTERVAL seq SECOND, seq % 3 = 0, JSON_OBJECT('a', seq, 'b', CONCAT('text ', seq % 100))
     FROM seq_1_to_${rows}`,
    `INSERT INTO notes SELECT seq, seq * 10, CONCAT('a note of ', seq, ' that says ', REPEAT(MD5(seq % 5000), 3))
     FROM seq_1_to_${Math.floor(rows / 10)}`,
    'ANALYZE TABLE orders, notes',
  ])
    await client.query(text);
  const [found] = await client.query(
    `SELECT ROUND(SUM(data_length + index_length) / 1e6) AS mb FROM information_schema.tables WHERE table_schema = 'shop'`,
  );
  const [{ mb }] = found as [{ mb: string }];
  process.stdout.write(`${rows.toLocaleString('en-US')} rows, ${mb} MB\n`);
}

async function dumps(): Promise<void> {
  heading('dump', 'mariadb-dump, zstd -3');
  const dump = `mariadb-dump ${access} --single-transaction --quick shop`;
  const baseline = await best(() => shell(`${dump} | zstd -3 -q > /dev/null`));
  line('mariadb-dump \\| zstd -3 > /dev/null', baseline, baseline);
  line(
    '**longshore backup**, to S3',
    await best(() => longshore(`backup --database ${urlOf('shop')} --to s3://production-s3/my/`)),
    baseline,
  );
  line('mariadb-dump \\| gzip -1 > /dev/null', await shell(`${dump} | gzip -1 > /dev/null`), baseline);
  if (!isInstalled('mydumper')) return;
  const parts = join(folder, 'parts');
  const peer = `mydumper ${access} --password=${password} --database=shop --threads=2 --rows=500000 --compress --outputdir=${parts}`;
  line(
    'mydumper --threads 2 --compress, to the disk',
    await best(() => shell(`rm -rf ${parts}; ${peer}`)),
    baseline,
  );
}

async function restores(): Promise<void> {
  heading('restore', 'mariadb');
  const script = join(folder, 'shop.sql');
  await shell(`mariadb-dump ${access} --single-transaction --quick shop > ${script}`);
  await longshore(`backup --database ${urlOf('shop')} --to s3://production-s3/r/`);
  const baseline = await best(async () => shell(`mariadb ${access} ${await fresh()} < ${script}`));
  line('mariadb < dump.sql, from the disk', baseline, baseline);
  let least: Restored | undefined;
  const whole = await best(async () => {
    const out = join(folder, 'restored.json');
    const to = urlOf(await fresh());
    const measured = await longshore(`restore --from s3://production-s3/r/ --to ${to} > ${out}`);
    const restored = JSON.parse(readFileSync(out, 'utf8')) as Restored;
    if (least === undefined || restored.restoreMs < least.restoreMs) least = restored;
    return measured;
  });
  const alone = { ...whole, seconds: whole.seconds - least!.compareMs / 1000 };
  line('**longshore restore**, without its comparison', alone, baseline);
  line('longshore restore, with its comparison', whole, baseline);
  if (!isInstalled('myloader')) return;
  const parts = join(folder, 'parts');
  const peer = `myloader ${access} --password=${password} --threads=2 --directory=${parts}`;
  line(
    'myloader --threads 2, from the disk',
    await best(async () => shell(`${peer} --database=${await fresh()}`)),
    baseline,
  );
}

interface Restored {
  readonly restoreMs: number;
  readonly compareMs: number;
}

/** The name of an empty database; the one before is dropped. */
async function fresh(): Promise<string> {
  await client.query(`DROP DATABASE IF EXISTS copy_${databases}`);
  databases++;
  await client.query(`CREATE DATABASE copy_${databases} CHARACTER SET utf8mb4`);
  return `copy_${databases}`;
}

function isInstalled(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stdout.write(`${name} is not installed: apt-get install mydumper\n`);
    return false;
  }
}

async function best(run: () => Promise<Measured>): Promise<Measured> {
  let least = await run();
  for (let round = 1; round < rounds; round++) {
    const other = await run();
    if (other.seconds < least.seconds) least = other;
  }
  return least;
}
