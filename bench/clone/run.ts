/**
 * Copies of one PostgreSQL database, as ratios of what others take: `node bench/clone/run.ts --rows 9000000`. Both servers are
 * on this machine; 9,000,000 rows are about 2 GB with their indexes.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { parseDatabaseUrl } from '../../src/config/database-url.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { fillPool, takeFromPool } from '../../src/jobs/clone/database/clone-pool.ts';
import { requestOf, resolveCloneOptions } from '../../src/jobs/clone/options.ts';
import { type Measured, measure } from '../move/measure.ts';
import { fillOrders } from '../orders.ts';
import { heading, line } from '../table.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '9000000' },
    bin: { type: 'string', default: '/usr/lib/postgresql/15/bin' },
    rounds: { type: 'string', default: '2' },
    jobs: { type: 'string', default: '2' },
    pool: { type: 'string', default: '20' },
    only: { type: 'string' },
  },
});
const rows = Number(values.rows);
const rounds = Number(values.rounds);
const { jobs } = values;
const program = fileURLToPath(new URL('../../bin/longshore.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'longshore-bench-'));
await using first = await startPostgres({ binFolder: values.bin });
await using target = await startPostgres({ binFolder: values.bin });
let databases = 0;
/** A database that no maintenance needs. */
const source = { url: first.url.replace(/[^/]*$/, 'shop') };

try {
  await within(first.url, (client) => client.query('CREATE DATABASE shop TEMPLATE template0'));
  await within(source.url, (client) => fillOrders(client, rows));
  const [size] = await within(source.url, (client) =>
    client
      .query<{ size: string }>('SELECT pg_size_pretty(pg_database_size(current_database())) AS size')
      .then((r) => r.rows),
  );
  process.stdout.write(`${rows.toLocaleString('en-US')} rows, ${size!.size}\n\n`);
  if (wanted('copy')) await copies();
  if (wanted('template')) await templates();
  if (wanted('pool')) await pooled();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function wanted(part: string): boolean {
  return values.only === undefined || values.only.split(',').includes(part);
}

/** From one server into another. */
async function copies(): Promise<void> {
  heading('between two servers', 'pgcopydb');
  const own = await best(
    async () => longshore('--on', target.url, '--how', 'copy', '--jobs', jobs),
    target.url,
  );
  const peer = await best(async () => pgcopydb(), target.url);
  line(`pgcopydb clone --table-jobs ${jobs} --index-jobs ${jobs}`, peer, peer);
  line(`**longshore clone --how copy --jobs ${jobs}**`, own, peer);
  const split = await best(async () => pgcopydb('--split-tables-larger-than', '200MB'), target.url);
  line('pgcopydb clone, with --split-tables-larger-than 200MB', split, peer);
  const compared = await best(
    async () => longshore('--on', target.url, '--how', 'copy', '--jobs', jobs, '--compare'),
    target.url,
  );
  line('longshore clone, with --compare', compared, peer);
}

async function pgcopydb(...more: string[]): Promise<Measured> {
  const name = fresh();
  await within(target.url, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE template0`));
  const into = new URL(target.url);
  into.pathname = `/${name}`;
  const args = ['--table-jobs', jobs, '--index-jobs', jobs, '--restart', '--dir', join(folder, name)];
  return await measure(
    ['pgcopydb', 'clone', '--source', source.url, '--target', into.href, ...args, ...more],
    { TMPDIR: folder, XDG_RUNTIME_DIR: folder },
  );
}

/** On one server, where nobody is connected to the source. */
async function templates(): Promise<void> {
  heading('on one server', 'CREATE DATABASE');
  const name = new URL(source.url).pathname.slice(1);
  const server = new URL(source.url);
  server.pathname = '/template1';
  const sql = (text: string): Promise<Measured> =>
    measure([join(values.bin, 'psql'), '-q', '-d', server.href, '-c', text], {});
  const peer = await best(() => sql(`CREATE DATABASE ${fresh()} TEMPLATE ${name}`), source.url);
  const files = await best(
    () => sql(`CREATE DATABASE ${fresh()} TEMPLATE ${name} STRATEGY FILE_COPY`),
    source.url,
  );
  const own = await best(() => longshore('--how', 'template'), source.url);
  line('CREATE DATABASE … TEMPLATE', peer, peer);
  line('CREATE DATABASE … TEMPLATE … STRATEGY FILE_COPY', files, peer);
  line('**longshore clone --how template**', own, peer);
}

/** Handed out within a process that runs, as a test suite does it. */
async function pooled(): Promise<void> {
  const settings = resolveCloneOptions({
    from: source.url,
    name: 'any',
    pool: Number(values.pool),
    how: 'template',
  });
  const parts = { changelog: undefined, masking: undefined, backups: undefined };
  const request = requestOf(settings, parts, {});
  // A small one: how large it is does not matter to who takes it.
  const small = parseDatabaseUrl(source.url);
  await within(source.url, async (client) => client.query('CREATE DATABASE small TEMPLATE template0'));
  const from = { ...small, connection: { ...small.connection, database: 'small' }, name: 'small' };
  const asked = { ...request, source: from };
  await fillPool(asked, Number(values.pool));
  const times: number[] = [];
  for (let i = 0; i < Number(values.pool); i++) {
    const began = performance.now();
    const clone = await takeFromPool({ ...asked, name: `handed_${i}` });
    if (clone === undefined) throw new Error('the pool is empty');
    times.push(performance.now() - began);
  }
  times.sort((one, other) => one - other);
  const at = (share: number): string => times[Math.floor(share * (times.length - 1))]!.toFixed(1);
  process.stdout.write(
    `\nA clone of the pool, with the connection to the server: median ${at(0.5)} ms, slowest ${at(1)} ms of ${times.length}\n`,
  );
}

function longshore(...more: string[]): Promise<Measured> {
  return measure(
    [process.execPath, program, 'clone', '--from', source.url, '--name', fresh(), '--json', ...more],
    { TMPDIR: folder },
  );
}

function fresh(): string {
  return `copy_${++databases}`;
}

async function within<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The fastest; what each made on the server is dropped. */
async function best(run: () => Promise<Measured>, on: string): Promise<Measured> {
  let least: Measured | undefined;
  for (let round = 0; round < rounds; round++) {
    const measured = await run();
    if (least === undefined || measured.seconds < least.seconds) least = measured;
    const server = new URL(on);
    server.pathname = '/template1';
    await within(server.href, async (client) => {
      await client.query(`DROP DATABASE IF EXISTS copy_${databases}`);
      await client.query('CHECKPOINT');
    });
  }
  return least!;
}
