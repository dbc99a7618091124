/**
 * A backup of the files of a PostgreSQL server by pgBackRest beside one of its database by Longshore, as ratios of pg_dump:
 * `node bench/backup/pgbackrest.ts --rows 9000000 --bin /usr/lib/postgresql/15/bin`. pgBackRest reads the data folder itself, so that
 * the server is one of its own, and writes to the disk. As root, the server belongs to the user postgres.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { freePort } from '../../src/embedded/postgres.ts';
import { type Measured, measure } from '../move/measure.ts';
import { startBenchServer } from '../move/servers.ts';
import { fillOrders } from '../orders.ts';
import { heading, line } from '../table.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '9000000' },
    bin: { type: 'string', default: '/usr/lib/postgresql/15/bin' },
  },
});
const program = fileURLToPath(new URL('../../bin/longshore.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'longshore-bench-'));
const [data, repository] = [join(folder, 'data'), join(folder, 'repository')];
const isRoot = process.getuid?.() === 0;
if (isRoot) execFileSync('chown', ['postgres', folder]);
/** As whom the server runs. */
const owner = isRoot ? ['runuser', '-u', 'postgres', '--'] : [];
const run = (...command: string[]): void => {
  const [file, ...args] = [...owner, ...command];
  execFileSync(file!, args, { stdio: 'ignore', cwd: folder });
};
const tool = (name: string): string => join(values.bin, name);
const port = await freePort();
const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
await using s3 = await startBenchServer('versitygw');
const env = { ...s3.env, TMPDIR: folder };
const shell = (text: string): Promise<Measured> => measure(['bash', '-c', `set -o pipefail; ${text}`], env);

run(tool('initdb'), '-D', data, '--auth=trust', '--username=postgres', '--no-sync');
const settings = `-k ${folder} -p ${port} -c listen_addresses=127.0.0.1 -c max_wal_size=4GB`;
run(tool('pg_ctl'), '-D', data, '-l', join(folder, 'log'), '-o', settings, '-w', 'start');
try {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await fillOrders(client, Number(values.rows));
  await client.end();
  heading('a whole backup', 'pg_dump, zstd -3');
  const baseline = await shell(`${tool('pg_dump')} -Fc -Z0 ${url} | zstd -3 -q > /dev/null`);
  line('pg_dump -Fc -Z0 \\| zstd -3 > /dev/null', baseline, baseline);
  const longshore = `${process.execPath} ${program} backup --database ${url} --to s3://production-s3/b/ --json`;
  line('**longshore backup**, to S3', await shell(longshore), baseline);
  mkdirSync(repository);
  if (isRoot) execFileSync('chown', ['postgres', repository]);
  const pgbackrest = [
    ...[...owner, 'pgbackrest', '--stanza=bench', `--pg1-path=${data}`, `--pg1-port=${port}`],
    ...[`--pg1-socket-path=${folder}`, `--repo1-path=${repository}`, `--log-path=${folder}`],
    ...[`--lock-path=${folder}`, '--config=/dev/null', '--log-level-console=error'],
  ].join(' ');
  await shell(`${pgbackrest} stanza-create`);
  const backup = `${pgbackrest} --no-archive-check --start-fast --process-max=2 --compress-type=zst --compress-level=1 --repo1-retention-full=1 backup`;
  line('pgBackRest, the files with their indexes, 2 processes, to the disk', await shell(backup), baseline);
} finally {
  run(tool('pg_ctl'), '-D', data, '-m', 'immediate', 'stop');
  rmSync(folder, { recursive: true, force: true });
}
