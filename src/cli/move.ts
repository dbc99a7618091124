/** `longshore move`: runs a move, or prints its plan. */

import type { Command } from 'commander';
import { killingFailpoint } from '../flow/failpoint.ts';
import type { Finish } from './main.ts';
import { addMoveFlags, moveOptionsOf } from './move-flags.ts';
import { stoppable } from './signals.ts';

export function registerMove(program: Command, finish: Finish): void {
  const command = program
    .command('move')
    .description('move objects from one bucket to another, and the rows that name them');
  addMoveFlags(command)
    .option('--plan', 'say what would be done, and change nothing')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error')
    .option('--state <folder>', 'where runs keep their journals', '.longshore')
    .action(async (name: string | undefined, flags: Record<string, unknown>) => {
      const options = moveOptionsOf(name, flags, process.env);
      const json = flags['json'] === true;
      if (flags['plan'] === true) {
        const [{ planMove }, { planText }] = await Promise.all([
          import('../jobs/move/plan.ts'),
          import('../report/plan-text.ts'),
        ]);
        const plan = await stoppable((signal) => planMove(options, { signal }), {
          json,
          text: 'nothing was changed',
        });
        const text = json ? JSON.stringify(plan) : planText(plan);
        process.stdout.write(`${text}\n`);
        finish(plan.collisions.count > 0 ? 3 : 0);
        return;
      }
      const [{ move }, { moveReporter }, { summaryText }] = await Promise.all([
        import('../jobs/move/run.ts'),
        import('../report/move-reporter.ts'),
        import('../report/summary-text.ts'),
      ]);
      using reporter = moveReporter(json ? 'ndjson' : 'terminal', process.stderr);
      const summary = await stoppable(
        (signal) =>
          move(options, {
            signal,
            stateFolder: String(flags['state']),
            emit: reporter.listen,
            failpoint: killingFailpoint(process.env['LONGSHORE_KILL_AT']),
          }),
        { json },
      );
      reporter.close();
      const text = json ? JSON.stringify(summary) : summaryText(summary, String(flags['state']));
      process.stdout.write(`${text}\n`);
      finish(summary.failures > 0 ? 1 : 0);
    });
}
