/** `longshore clone drop`: drops one clone. */

import type { Command } from 'commander';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { serverGiven } from './clone-server-flag.ts';
import type { Finish } from './main.ts';

export function registerCloneDrop(clone: Command, finish: Finish): void {
  clone
    .command('drop')
    .description('drop a clone; what Longshore did not make is refused')
    .argument('<name>', 'of the clone')
    .option('--on <url>', 'the server that it is on: postgres://… or mariadb://…')
    .option('--json', 'as JSON')
    .action(async (name: string, _: unknown, command: Command) => {
      const { on, json = false } = command.optsWithGlobals<{ on?: string; json?: boolean }>();
      const { dropServerClone } = await import('../jobs/clone/database/server-clones.ts');
      await dropServerClone(parseDatabaseUrl(serverGiven(on), process.env), name);
      process.stdout.write(`${json ? JSON.stringify({ dropped: name }) : `dropped ${name}`}\n`);
      finish(0);
    });
}
