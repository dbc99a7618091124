/** One run of the dump program: its script as a stream, and what the script holds. */

import type { Readable } from 'node:stream';
import { LongshoreError } from '../../errors.ts';
import type { PieceLender } from '../../flow/buffer-pool.ts';
import type { DumpFacts } from '../dump.ts';
import { type ProgramEnd, programOutput } from '../program-output.ts';
import type { ClientAccess } from './client-access.ts';
import { isOlder, type MysqlClient } from './client-choice.ts';
import type { DumpCatalogue } from './dump-catalogue.ts';
import { DumpScript } from './dump-script.ts';

export interface DumpRun {
  /** Ends only where the program ended well, wrote its last line, and every table of the catalogue was in between. */
  readonly stream: Readable & PieceLender;
  /** When the stream has ended. */
  facts(): DumpFacts;
}

/** @param content without views, triggers, routines and events where only the rows matter */
export function runDump(
  access: ClientAccess,
  client: MysqlClient,
  catalogue: DumpCatalogue,
  content: 'everything' | 'rows',
  signal: AbortSignal,
): DumpRun {
  const script = new DumpScript();
  const call = access.call(client, content === 'rows' ? catalogue.views : []);
  let whole = false;
  const failure = (end: ProgramEnd) => {
    script.end();
    const reason = whyNotWhole(end, client, script, catalogue.tables);
    whole = reason === undefined;
    if (reason === undefined) return undefined;
    return new LongshoreError(
      'DATABASE_FAILED',
      access.withoutPassword(`Cannot dump ${access.url.name}: ${reason}`),
      { context: { database: access.url.name } },
    );
  };
  const stream = programOutput({
    path: client.path,
    flags: [call.defaultsFlag, ...dumpFlags(client, content), '--', access.database],
    env: call.env,
    signal,
    passing: (chunk) => script.write(chunk),
    failure,
    cleanUp: () => call[Symbol.dispose](),
  });
  return {
    stream,
    facts() {
      if (!whole) throw new TypeError('the dump has not ended');
      return {
        tables: [...script.tables]
          .map(([name, rows]) => ({ schema: '', name, rows: rows.rows, digest: rows.toString() }))
          .sort((left, right) => (left.name < right.name ? -1 : 1)),
        sequences: Object.fromEntries(
          [...script.sequences].sort(([left], [right]) => (left < right ? -1 : 1)),
        ),
        objects: catalogue.objects,
        largeObjects: 0,
      };
    },
  };
}

/** Options that only one product's program knows are given to no other. */
export function dumpFlags(client: MysqlClient, content: 'everything' | 'rows'): string[] {
  const objects = content === 'everything' ? ['--routines', '--events', '--triggers'] : ['--skip-triggers'];
  return [
    // One snapshot of the tables that have transactions, and no locks.
    '--single-transaction',
    '--quick',
    ...objects,
    '--hex-blob',
    '--default-character-set=utf8mb4',
    // They would need the privilege PROCESS.
    '--no-tablespaces',
    '--tz-utc',
    // The first would need RELOAD, the second asks for what no server before 8.0 has.
    ...(client.product === 'MySQL' ? ['--set-gtid-purged=OFF'] : []),
    ...(client.product === 'MySQL' && !isOlder(client.version, '8.0') ? ['--column-statistics=0'] : []),
  ];
}

function whyNotWhole(
  { code, signal, said }: ProgramEnd,
  client: MysqlClient,
  script: DumpScript,
  tables: readonly string[],
): string | undefined {
  const words = said === '' ? '' : `: ${said}`;
  if (signal !== null) return `${client.name} was ended by ${signal}${words}`;
  if (code !== 0) return `${client.name} ended with code ${code}${words}`;
  if (!script.complete) return `${client.name} ended before the last line of the dump${words}`;
  const missing = tables.filter((name) => !script.tables.has(name));
  if (missing.length > 0) return `it has no table ${missing.slice(0, 10).join(', ')}${words}`;
  return undefined;
}
