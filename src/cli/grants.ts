/** `longshore grants`: the least SQL grants and IAM policy that a move needs. */

import type { Command } from 'commander';
import type { Finish } from './main.ts';
import { addMoveFlags, moveOptionsOf } from './move-flags.ts';

export function registerGrants(program: Command, _finish: Finish): void {
  addMoveFlags(
    program.command('grants').description('print the least SQL grants and IAM policy that a move needs'),
  )
    .option('--probe', 'also allow the marker objects by which conditions are probed')
    .option('--json', 'as JSON')
    .action(async (name: string | undefined, flags: Record<string, unknown>) => {
      const [{ grantsFor, columnsOf }, { resolveMoveOptions }] = await Promise.all([
        import('../jobs/move/grants.ts'),
        import('../jobs/move/settings.ts'),
      ]);
      const settings = resolveMoveOptions(moveOptionsOf(name, flags, process.env));
      const columns = await columnsOf(settings, process.env);
      const grants = grantsFor(settings, { probe: flags['probe'] === true, columns, env: process.env });
      if (flags['json'] === true) {
        process.stdout.write(`${JSON.stringify(grants)}\n`);
        return;
      }
      if (grants.policy !== undefined)
        process.stdout.write(`${JSON.stringify(grants.policy, undefined, 2)}\n`);
      if (grants.sql.length > 0) process.stdout.write(`\n${grants.sql.join('\n')}\n`);
    });
}
