/** `longshore clone list`: the clones that are there. */

import type { Command } from 'commander';
import { addPlaceFlags, type PlaceFlags, placesOf } from './clone-places.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerCloneList(clone: Command, finish: Finish): void {
  addPlaceFlags(clone.command('list').description('list clones, with age, cost so far, size and expiry'))
    .option('--json', 'as JSON')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PlaceFlags & { json?: boolean }>();
      const { server, aws, environment } = placesOf(flags);
      const [{ listClones }, { cloneListText }] = await Promise.all([
        import('../jobs/clone/keep.ts'),
        import('../report/clone-text.ts'),
      ]);
      const entries = await stoppable((signal) => listClones({ server, aws }, { ...environment, signal }));
      process.stdout.write(
        `${flags.json === true ? JSON.stringify(entries) : cloneListText(entries, Date.now())}\n`,
      );
      finish(0);
    });
}
