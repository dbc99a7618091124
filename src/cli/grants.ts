/** `longshore grants`: the least SQL grants and IAM policy that a move needs. */

import type { Command } from 'commander';
import { registerGrantsClone } from './grants-clone.ts';
import type { Finish } from './main.ts';
import { addMoveFlags, moveOptionsOf } from './move-flags.ts';

export function registerGrants(program: Command, finish: Finish): void {
  const grants = program
    .command('grants')
    .description('print the least SQL grants and IAM policy that a move needs');
  registerGrantsClone(grants, finish);
  addMoveFlags(grants)
    .option('--probe', 'also allow the marker objects by which conditions are probed')
    .option('--role <name>', 'the database role', 'longshore')
    .option('--lambda', 'print the Lambda function of --copy-with s3-batch instead')
    .option('--json', 'as JSON')
    .action(async (name: string | undefined, flags: Record<string, unknown>) => {
      const [{ grantsFor }, { describeColumns }, { resolveMoveOptions }] = await Promise.all([
        import('../jobs/move/grants.ts'),
        import('../jobs/move/describe-columns.ts'),
        import('../jobs/move/settings.ts'),
      ]);
      const settings = resolveMoveOptions(moveOptionsOf(name, flags, process.env));
      if (flags['lambda'] === true) {
        const { lambdaOf } = await import('../jobs/move/s3-batch-function.ts');
        process.stdout.write(lambdaOf(settings));
        return;
      }
      const columns = await describeColumns(settings, process.env);
      const options = { probe: flags['probe'] === true, role: String(flags['role']), env: process.env };
      const grants = grantsFor(settings, columns, options);
      if (flags['json'] === true) {
        process.stdout.write(`${JSON.stringify(grants)}\n`);
        return;
      }
      process.stdout.write(`${JSON.stringify(grants.policy, undefined, 2)}\n`);
      if (grants.batch !== undefined) {
        for (const [what, policy] of Object.entries(grants.batch)) {
          process.stderr.write(`${BATCH_POLICIES[what as keyof typeof BATCH_POLICIES]}:\n`);
          process.stdout.write(`${JSON.stringify(policy, undefined, 2)}\n`);
        }
      }
      for (const { database, statements } of grants.sql) {
        process.stdout.write(`\n-- ${database}\n${statements.join('\n')}\n`);
      }
      for (const note of grants.notes) process.stderr.write(`note: ${note}\n`);
    });
}

const BATCH_POLICIES = {
  trust: 'who may take on the role of the jobs',
  role: 'what the role of the jobs may do',
  function: "what the function's role may do",
} as const;
