/** `longshore verify`: reads bucket and tables again and proves the result, of a move or of a replication. */

import type { Command } from 'commander';
import { hasJob } from '../config/config-file.ts';
import type { Finish } from './main.ts';
import { addMoveFlags, moveOptionsOf } from './move-flags.ts';
import { replicateOptionsOf, verifyReplication } from './replicate.ts';
import { stoppable } from './signals.ts';

export function registerVerify(program: Command, finish: Finish): void {
  addMoveFlags(
    program
      .command('verify')
      .description(
        'read bucket and tables again and prove the result of a move, or of a replication of longshore.yaml',
      ),
  )
    .option('--run <name>', 'the run whose journal is checked; the newest one of this move unless named')
    .option('--json', 'as JSON')
    .option('--state <folder>', 'where runs keep their journals', '.longshore')
    .action(async (name: string | undefined, flags: Record<string, unknown>) => {
      const config = String(flags['config']);
      if (name !== undefined && !hasJob(config, 'move', name) && hasJob(config, 'replicate', name)) {
        const options = replicateOptionsOf(name, { config }, process.env);
        await verifyReplication(options, flags['json'] === true, finish);
        return;
      }
      const [{ verifyMove }, { verifyText }] = await Promise.all([
        import('../jobs/move/verify.ts'),
        import('../report/verify-text.ts'),
      ]);
      const options = moveOptionsOf(name, flags, process.env);
      const result = await stoppable(
        (signal) =>
          verifyMove(options, {
            signal,
            stateFolder: String(flags['state']),
            run: flags['run'] === undefined ? undefined : String(flags['run']),
          }),
        { json: flags['json'] === true, text: 'nothing was changed' },
      );
      process.stdout.write(`${flags['json'] === true ? JSON.stringify(result) : verifyText(result)}\n`);
      finish(result.violationsCount > 0 ? 1 : 0);
    });
}
