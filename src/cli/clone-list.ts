/** `longshore clone list`: the clones that are there. */

import type { Command } from 'commander';
import { parseDatabaseUrl } from '../config/database-url.ts';
import type { Finish } from './main.ts';

export function registerCloneList(clone: Command, finish: Finish): void {
  clone
    .command('list')
    .description('list the clones of a server, with age, size and expiry')
    .option('--on <url>', 'a server: postgres://… or mariadb://…')
    .option('--json', 'as JSON')
    .action(async (_: unknown, command: Command) => {
      const { on, json = false } = command.optsWithGlobals<{ on?: string; json?: boolean }>();
      const [{ listServerClones }, { cloneListText }, { serverGiven }] = await Promise.all([
        import('../jobs/clone/database/server-clones.ts'),
        import('../report/clone-text.ts'),
        import('./clone-server-flag.ts'),
      ]);
      const entries = await listServerClones(parseDatabaseUrl(serverGiven(on), process.env));
      process.stdout.write(`${json ? JSON.stringify(entries) : cloneListText(entries, Date.now())}\n`);
      finish(0);
    });
}
