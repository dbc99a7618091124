/** `longshore backup prune`: takes away the backups that a policy does not keep. */

import type { Command } from 'commander';
import { storeSettings } from '../config/credentials-file.ts';
import { LongshoreError } from '../errors.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface PruneFlags {
  readonly to?: string;
  readonly keep?: string;
  readonly credentials?: string;
  readonly plan?: boolean;
  readonly json?: boolean;
}

export function registerBackupPrune(backup: Command, finish: Finish): void {
  backup
    .command('prune')
    .description('take away the backups that are not to be kept; never the last good one')
    .option('--to <url>', 'where they are: s3://bucket/prefix/ or file:///folder/')
    .option('--keep <policy>', 'last=3,daily=7,weekly=4,monthly=12,yearly=2, or some of these')
    .option('--plan', 'say what would go, and change nothing')
    .option('--credentials <file>', 'key id, secret and where wanted the bucket; else those of the AWS tools')
    .option('--json', 'as JSON')
    .action(async (_: PruneFlags, command: Command) => {
      // Those of `backup` itself take the options of the same name, wherever they stand.
      const flags = command.optsWithGlobals<PruneFlags>();
      const { keep, plan = false, json = false } = flags;
      if (keep === undefined) {
        throw new LongshoreError('CONFIG_INVALID', 'nothing says what is kept', {
          hint: 'give --keep last=3,daily=7,weekly=4,monthly=12, or some of these',
        });
      }
      const [{ pruneBackups }, { pruneText }] = await Promise.all([
        import('../jobs/backup/prune.ts'),
        import('../report/backup-text.ts'),
      ]);
      const { to, env } = await storeSettings(flags, process.env);
      const result = await stoppable((signal) => pruneBackups({ to, keep, plan }, { env, signal }), { json });
      process.stdout.write(`${json ? JSON.stringify(result) : pruneText(result)}\n`);
      finish(result.backups.some(({ removed }) => removed?.end === 'failed') ? 1 : 0);
    });
}
