/**
 * Peak memory and cost an object over the number of objects: `node bench/move/memory.ts --objects 10000,1000000`
 * moves that many objects, with their rows in a PostgreSQL, on a store that answers from a generator.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { measure } from './measure.ts';

const { values } = parseArgs({ options: { objects: { type: 'string', default: '10000,100000,1000000' } } });
const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

process.stdout.write('| objects | objects/s | CPU µs/object | peak MB |\n| --- | --- | --- | --- |\n');
for (const objects of values.objects.split(',').map(Number)) {
  const server = spawn(process.execPath, [pathOf('./generator-server.ts'), '--objects', String(objects)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(server.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  const stateFolder = mkdtempSync(join(tmpdir(), 'longshore-bench-'));
  await using postgres = await startPostgres();
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query('CREATE TABLE avatars (id bigserial PRIMARY KEY, path text NOT NULL)');
  await client.query(
    "INSERT INTO avatars (path) SELECT 'image/avatar-' || lpad(n::text, 9, '0') || '.png' FROM generate_series(0, $1::int - 1) n",
    [objects],
  );
  await client.query('CREATE INDEX ON avatars (path)');
  await client.query('VACUUM ANALYZE avatars');
  await client.end();
  const measured = await measure(
    [
      process.execPath,
      pathOf('../../bin/longshore.mjs'),
      'move',
      ...['--from', 's3://legacy-s3/image/', '--to', 's3://production-s3/avatar/'],
      ...['--rows', `${postgres.url}#avatars.path`, '--delete', 'proven', '--json', '--state', stateFolder],
    ],
    {
      AWS_ENDPOINT_URL: url,
      AWS_ACCESS_KEY_ID: 'key',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_REGION: 'us-east-1',
    },
  );
  rmSync(stateFolder, { recursive: true, force: true });
  server.kill();
  await once(server, 'exit');
  const cells = [
    objects,
    Math.round(objects / measured.seconds),
    Math.round((measured.cpuSeconds * 1e6) / objects),
    Math.round((measured.peakBytes ?? 0) / 1e6),
  ];
  process.stdout.write(`| ${cells.map((cell) => cell.toLocaleString('en-US')).join(' | ')} |\n`);
}
