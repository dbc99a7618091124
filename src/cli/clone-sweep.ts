/** `longshore clone sweep`: drops the clones that have expired. */

import type { Command } from 'commander';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { serverGiven } from './clone-server-flag.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerCloneSweep(clone: Command, finish: Finish): void {
  clone
    .command('sweep')
    .description('drop the clones that have expired, and what was left behind')
    .option('--on <url>', 'a server: postgres://… or mariadb://…')
    .option('--plan', 'say what would go, and drop nothing')
    .option('--json', 'as JSON')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<{ on?: string; plan?: boolean; json?: boolean }>();
      const { on, plan = false, json = false } = flags;
      const [{ sweepServerClones }, { sweptText }] = await Promise.all([
        import('../jobs/clone/database/server-clones.ts'),
        import('../report/clone-text.ts'),
      ]);
      const url = parseDatabaseUrl(serverGiven(on), process.env);
      const swept = await stoppable((signal) => sweepServerClones(url, { plan }, { signal }), { json });
      process.stdout.write(`${json ? JSON.stringify(swept) : sweptText(swept, plan)}\n`);
      finish(0);
    });
}
