/** `longshore status`: the runs and how far they are. */

import type { Command } from 'commander';
import type { Finish } from './main.ts';

export function registerStatus(program: Command, _finish: Finish): void {
  program
    .command('status')
    .description('list the runs and how far they are')
    .option('--json', 'as JSON')
    .option('--state <folder>', 'where runs keep their journals', '.longshore')
    .action(async (flags: { json?: boolean; state: string }) => {
      const [{ moveStatus }, { statusText }] = await Promise.all([
        import('../jobs/move/status.ts'),
        import('../report/status-text.ts'),
      ]);
      const runs = moveStatus(flags.state);
      process.stdout.write(`${flags.json === true ? JSON.stringify(runs) : statusText(runs)}\n`);
    });
}
