/** `longshore clone sweep`: drops the clones that have expired. */

import type { Command } from 'commander';
import { addPlaceFlags, type PlaceFlags, placesOf } from './clone-places.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerCloneSweep(clone: Command, finish: Finish): void {
  addPlaceFlags(
    clone.command('sweep').description('drop the clones that have expired, and what was left behind'),
  )
    .option('--plan', 'say what would go, and drop nothing')
    .option('--json', 'as JSON')
    .action(async (_: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PlaceFlags & { plan?: boolean }>();
      const { plan = false, json = false } = flags;
      const { server, aws, environment } = placesOf(flags);
      const [{ sweepClones }, { sweptText }] = await Promise.all([
        import('../jobs/clone/keep.ts'),
        import('../report/clone-text.ts'),
      ]);
      const swept = await stoppable(
        (signal) => sweepClones({ server, aws }, plan, { ...environment, signal }),
        { json, text: 'run it again for the rest' },
      );
      process.stdout.write(`${json ? JSON.stringify(swept) : sweptText(swept, plan)}\n`);
      finish(swept.some(({ failed }) => failed !== undefined) ? 1 : 0);
    });
}
