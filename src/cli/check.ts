/** `longshore check`: connects, probes permissions and settings; each finding with its fix. */

import type { Command } from 'commander';
import { hasJob } from '../config/config-file.ts';
import type { Finish } from './main.ts';
import { addMoveFlags, moveOptionsOf } from './move-flags.ts';
import { checkReplicationOf, replicateOptionsOf } from './replicate.ts';
import { stoppable } from './signals.ts';

export function registerCheck(program: Command, finish: Finish): void {
  addMoveFlags(
    program
      .command('check')
      .description('connect, probe permissions and settings; each finding with its fix'),
  )
    .option('--json', 'as JSON')
    .action(async (name: string | undefined, flags: Record<string, unknown>) => {
      const config = String(flags['config']);
      if (name !== undefined && !hasJob(config, 'move', name) && hasJob(config, 'replicate', name)) {
        await checkReplicationOf(
          replicateOptionsOf(name, { config }, process.env),
          flags['json'] === true,
          finish,
        );
        return;
      }
      const [{ checkMove }, { checkText }] = await Promise.all([
        import('../jobs/move/check.ts'),
        import('../report/check-text.ts'),
      ]);
      const options = moveOptionsOf(name, flags, process.env);
      const result = await stoppable((signal) => checkMove(options, { signal }), {
        json: flags['json'] === true,
        text: 'nothing was changed',
      });
      process.stdout.write(`${flags['json'] === true ? JSON.stringify(result) : checkText(result)}\n`);
      finish(result.errors > 0 ? 3 : 0);
    });
}
