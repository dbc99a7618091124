/** What the commands about artifacts have in common. */

import type { Command } from 'commander';
import type { EmitClone } from '../jobs/clone/events.ts';

export interface CloneFlags {
  readonly store?: string;
  readonly plainHttp?: boolean;
  readonly json?: boolean;
}

export function environmentOf({ store, plainHttp }: CloneFlags) {
  return { env: process.env, store, plainHttp };
}

/** Progress on standard error: as lines, or as NDJSON. */
export async function cloneEmit(json: boolean): Promise<EmitClone> {
  const { cloneReporter } = await import('../report/clone-reporter.ts');
  return cloneReporter(json ? 'ndjson' : 'terminal', process.stderr);
}

/** How the rows of a clone on a server are copied. */
export function addCopyFlags(command: Command): Command {
  return command
    .option('--backups <url>', 'where drilled backups are, as another source')
    .option('--identity <file>', 'of age, for backups that are encrypted')
    .option('--jobs <n>', 'connections that copy; 2')
    .option('--client-folder <folder>', 'of pg_dump, mariadb-dump or mysqldump')
    .option('--no-owners', 'leave owners and grants out; of PostgreSQL')
    .option('--compare', 'hold every row of the clone against the source');
}
