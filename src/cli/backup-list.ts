/** `longshore backup list`: what backups there are, from the bucket alone. */

import type { Command } from 'commander';
import { storeSettings } from '../config/credentials-file.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface ListFlags {
  readonly to?: string;
  readonly credentials?: string;
  readonly json?: boolean;
}

export function registerBackupList(backup: Command, finish: Finish): void {
  backup
    .command('list')
    .description('list the backups, how good each is, and what their drills found')
    .option('--to <url>', 'where they are: s3://bucket/prefix/ or file:///folder/')
    .option('--credentials <file>', 'key id, secret and where wanted the bucket; else those of the AWS tools')
    .option('--json', 'as JSON')
    .action(async (_: ListFlags, command: Command) => {
      // Those of `backup` itself take the options of the same name, wherever they stand.
      const flags = command.optsWithGlobals<ListFlags>();
      const [{ listBackups }, { backupListText }] = await Promise.all([
        import('../jobs/backup/list.ts'),
        import('../report/backup-text.ts'),
      ]);
      const { to, env } = await storeSettings(flags, process.env);
      const json = flags.json === true;
      const list = await stoppable((signal) => listBackups(to, { env, signal }), {
        json,
        text: 'nothing was changed',
      });
      process.stdout.write(`${json ? JSON.stringify(list) : backupListText(list)}\n`);
      finish(0);
    });
}
