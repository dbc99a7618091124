/** `longshore status`: the runs of moves and how far they are; of a replication its table statistics. */

import type { Command } from 'commander';
import { CONFIG_FILE, readJob } from '../config/config-file.ts';
import { LongshoreError } from '../errors.ts';
import type { Finish } from './main.ts';

interface StatusFlags {
  readonly json?: boolean;
  readonly state: string;
  readonly to?: string;
  readonly from?: string;
  readonly name?: string;
  readonly config: string;
}

export function registerStatus(program: Command, _finish: Finish): void {
  program
    .command('status')
    .description('list the runs and how far they are; with --to, the table statistics of a replication')
    .argument('[job]', 'a replication of longshore.yaml')
    .option('--to <url>', 'where a replication lands its files')
    .option('--from <url>', 'its database, asked how far it is')
    .option('--name <name>', 'of the replication')
    .option('--config <file>', 'where jobs are described', CONFIG_FILE)
    .option('--json', 'as JSON')
    .option('--state <folder>', 'where runs keep their journals', '.longshore')
    .action(async (job: string | undefined, flags: StatusFlags) => {
      const replication = replicationOf(job, flags);
      if (replication !== undefined) {
        const [{ replicateStatus }, { replicateStatusText }] = await Promise.all([
          import('../jobs/replicate/status.ts'),
          import('../report/replicate-text.ts'),
        ]);
        const status = await replicateStatus(replication);
        process.stdout.write(
          `${flags.json === true ? JSON.stringify(status) : replicateStatusText(status)}\n`,
        );
        return;
      }
      const [{ moveStatus }, { statusText }] = await Promise.all([
        import('../jobs/move/status.ts'),
        import('../report/status-text.ts'),
      ]);
      const runs = moveStatus(flags.state);
      process.stdout.write(`${flags.json === true ? JSON.stringify(runs) : statusText(runs)}\n`);
    });
}

/** Undefined where moves are asked for. */
function replicationOf(
  job: string | undefined,
  flags: StatusFlags,
): { to: string; name: string; from?: string | undefined } | undefined {
  if (job === undefined && flags.to === undefined) return undefined;
  const file = job === undefined ? {} : (readJob(flags.config, 'replicate', job, process.env) ?? {});
  const to = flags.to ?? file['to'];
  const from = flags.from ?? file['from'];
  if (typeof to !== 'string') {
    throw new LongshoreError('CONFIG_INVALID', `nothing says where ${job} lands its files`, {
      hint: 'give --to',
    });
  }
  const name = flags.name ?? String(file['name'] ?? job ?? 'longshore');
  return { to, name, from: typeof from === 'string' ? from : undefined };
}
