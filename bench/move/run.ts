/**
 * Moves the same objects with Longshore and with what a user would pick instead, on one server in one run, and
 * prints figures side by side. `npm run bench -- --objects 20000 --server embedded|versitygw --tools longshore,rclone`
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { fillBuckets } from './fill.ts';
import { type Leftovers, lookAfterwards } from './leftovers.ts';
import { type Measured, measure } from './measure.ts';
import { startBenchServer } from './servers.ts';
import { findTools, type Tool } from './tools.ts';

const { values } = parseArgs({
  options: {
    objects: { type: 'string', default: '20000' },
    server: { type: 'string', default: 'embedded' },
    tools: { type: 'string', default: '' },
    rounds: { type: 'string', default: '1' },
  },
});
const objects = Number(values.objects);
const wanted = values.tools === '' ? undefined : values.tools.split(',');

interface Row {
  readonly tool: string;
  readonly measured: Measured;
  readonly requests: number | undefined;
  readonly left: Leftovers;
  readonly objects: number;
}

const rows: Row[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  for (const tool of await findTools()) {
    if (wanted !== undefined && !wanted.includes(tool.name)) continue;
    if (tool.missing !== undefined) {
      process.stderr.write(`${tool.name}: not measured (${tool.missing})\n`);
      continue;
    }
    rows.push(await runTool(tool));
  }
}
print(rows);

async function runTool(tool: Tool): Promise<Row> {
  await using server = await startBenchServer(values.server);
  await using postgres = tool.rows ? await startPostgres() : undefined;
  // A tool that takes 17 ms an object is measured on fewer of them; its figures are per object.
  const count = Math.min(objects, tool.objectsMax ?? objects);
  const rowsUrl = postgres === undefined ? undefined : `${postgres.url}#avatars.path`;
  await fillBuckets(server.env, count, rowsUrl, values.server === 'versitygw' ? 0 : 42);
  const before = await server.requests();
  const stateFolder = mkdtempSync(join(tmpdir(), 'longshore-bench-'));
  const context = { env: server.env, rows: rowsUrl, endpoint: server.url, stateFolder };
  const measured = await measure(tool.command(context), { ...server.env, ...tool.env?.(context) });
  rmSync(stateFolder, { recursive: true, force: true });
  const after = await server.requests();
  const left = await lookAfterwards(server.env, count, rowsUrl);
  process.stderr.write(`${tool.name}: ${Math.round(count / measured.seconds)} objects/s\n`);
  return {
    tool: tool.label,
    measured,
    requests: before === undefined || after === undefined ? undefined : after - before,
    left,
    objects: count,
  };
}

function print(all: readonly Row[]): void {
  const header = [
    '',
    'objects/s',
    'CPU µs/object',
    'requests/object',
    'peak MB',
    'objects left',
    'metadata lost',
    'rows',
  ];
  const lines = all.map((row) => [
    row.tool,
    String(Math.round(row.objects / row.measured.seconds)),
    String(Math.round((row.measured.cpuSeconds * 1e6) / row.objects)),
    row.requests === undefined ? '–' : (row.requests / row.objects).toFixed(2),
    row.measured.peakBytes === undefined ? '–' : String(Math.round(row.measured.peakBytes / 1e6)),
    String(row.left.objects),
    row.left.metadata,
    row.left.rows,
  ]);
  process.stdout.write(`${objects} objects of 1–64 KB, server: ${values.server}\n\n`);
  for (const cells of [header, header.map(() => '---'), ...lines])
    process.stdout.write(`| ${cells.join(' | ')} |\n`);
}
