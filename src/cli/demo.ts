/** `longshore demo`: everything embedded; shows a move from seed to proof. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerDemo(program: Command, finish: Finish): void {
  program
    .command('demo')
    .description('everything embedded: seed, move, prove, print what happened')
    .argument('[job]', 'which job to show', 'move')
    .option('--objects <n>', 'how many avatars', Number, 2000)
    .action(async (_job: string, flags: { objects: number }) => {
      const [{ runMoveDemo }, { moveReporter }, { formatDuration }] = await Promise.all([
        import('../demo/move-demo.ts'),
        import('../report/move-reporter.ts'),
        import('../config/duration.ts'),
      ]);
      const stateFolder = mkdtempSync(join(tmpdir(), 'longshore-demo-'));
      using reporter = moveReporter('terminal', process.stderr);
      try {
        const result = await stoppable((signal) =>
          runMoveDemo({
            objects: flags.objects,
            stateFolder,
            signal,
            emit: reporter.listen,
            say: (line) => {
              reporter.close();
              process.stderr.write(`${line}\n`);
            },
          }),
        );
        const { summary, reads, missing, violations } = result;
        const { total } = summary;
        const n = (value: number): string => value.toLocaleString('en-US');
        const good = summary.failures === 0 && missing === 0 && violations === 0;
        process.stdout.write(
          `${[
            '',
            good ? 'What happened:' : 'Something went wrong:',
            `  ${n(total.objects.copied)} avatars went from s3://legacy-s3/image/ to s3://production-s3/avatar/ in ${formatDuration(summary.seconds * 1000)}, by server-side copies.`,
            `  Each copy was proven (${n(total.proofs.etag)} by ETag) before its row was changed: ${n(total.rows.rewritten)} rows, in batches guarded by the old value.`,
            `  After a grace period of 2 s, ${n(total.deletes.deleted)} objects were deleted, each only if it still had the ETag that was proven.`,
            `  Meanwhile a reader resolved ${n(reads)} random rows and fetched their objects: ${missing === 0 ? 'not one was missing' : `${n(missing)} were missing`}.`,
            `  Then bucket and table were read again: ${violations === 0 ? 'every row names an object that exists' : `${n(violations)} violations`}.`,
            'What to try next:',
            '  npx longshore move --from s3://… --to s3://… --rows postgres://…/db#table.column --plan',
            '  npx longshore check --help    what your buckets and your table need; docs/move.md tells the rest',
          ].join('\n')}\n`,
        );
        finish(good ? 0 : 1);
      } finally {
        rmSync(stateFolder, { recursive: true, force: true });
      }
    });
}
