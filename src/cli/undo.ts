/** `longshore undo`: puts the objects and rows of a run back. */

import type { Command } from 'commander';
import { moveFromEnvironment } from '../config/script-environment.ts';
import { killingFailpoint } from '../flow/failpoint.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerUndo(program: Command, finish: Finish): void {
  program
    .command('undo')
    .description('put the objects and rows of a move back, also after deletion')
    .argument('[run]', 'the run; the newest one unless named')
    .option(
      '--rows <url...>',
      'the database URLs with their passwords, where the environment does not have them',
    )
    .option('--delete <when>', 'when the copies are taken away: never, proven, or a grace period')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error')
    .option('--state <folder>', 'where runs keep their journals', '.longshore')
    .action(async (run: string | undefined, flags: Record<string, unknown>) => {
      const [{ undoMove }, { moveReporter }, { undoText }] = await Promise.all([
        import('../jobs/move/undo.ts'),
        import('../report/move-reporter.ts'),
        import('../report/undo-text.ts'),
      ]);
      // The variables of the scripts give the password of their own table, and of no other.
      const fromScripts = moveFromEnvironment(process.env)?.rows;
      using reporter = moveReporter(flags['json'] === true ? 'ndjson' : 'terminal', process.stderr);
      const rows = flags['rows'] as string[] | undefined;
      const summary = await stoppable(
        (signal) =>
          undoMove({
            run,
            signal,
            stateFolder: String(flags['state']),
            emit: reporter.listen,
            failpoint: killingFailpoint(process.env['LONGSHORE_KILL_AT']),
            ...(rows === undefined ? {} : { rows }),
            ...(fromScripts === undefined ? {} : { passwordsFrom: [fromScripts] }),
            ...(flags['delete'] === undefined ? {} : { delete: String(flags['delete']) }),
          }),
        { json: flags['json'] === true },
      );
      reporter.close();
      process.stdout.write(`${flags['json'] === true ? JSON.stringify(summary) : undoText(summary)}\n`);
      finish(summary.failures > 0 ? 1 : 0);
    });
}
