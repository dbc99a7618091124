/** `longshore clone drop`: drops one clone. */

import type { Command } from 'commander';
import { addPlaceFlags, type PlaceFlags, placesOf } from './clone-places.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerCloneDrop(clone: Command, finish: Finish): void {
  addPlaceFlags(
    clone
      .command('drop')
      .description('drop a clone; what Longshore did not make is refused')
      .argument('<name>', 'of the clone'),
  )
    .option('--json', 'as JSON')
    .action(async (name: string, _: unknown, command: Command) => {
      const flags = command.optsWithGlobals<PlaceFlags>();
      const { server, aws, environment } = placesOf(flags);
      const { dropClone } = await import('../jobs/clone/keep.ts');
      await stoppable((signal) => dropClone(name, { server, aws }, { ...environment, signal }), {
        text: 'run it again for the rest',
      });
      process.stdout.write(
        `${flags.json === true ? JSON.stringify({ dropped: name }) : `dropped ${name}`}\n`,
      );
      finish(0);
    });
}
