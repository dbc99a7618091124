/** `longshore restore`: brings a backup back into a database, and holds what is there then against its manifest. */

import type { Command } from 'commander';
import { storeSettings } from '../config/credentials-file.ts';
import type { RestoreJobOptions } from '../jobs/backup/restore.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface RestoreFlags extends Omit<RestoreJobOptions, 'noOwner' | 'jobs'> {
  readonly credentials?: string;
  readonly compare?: boolean;
  readonly jobs?: string;
  /** Commander's word for `--no-owner`. */
  readonly owner: boolean;
  readonly json?: boolean;
}

export function registerRestore(program: Command, finish: Finish): void {
  program
    .command('restore')
    .description('restore a backup into an empty database, and compare')
    .requiredOption(
      '--from <url>',
      'a backup, or a prefix that ends with a slash for the newest one below it',
    )
    .requiredOption('--to <url>', 'the database: postgres://…/database, mariadb:// or mysql://')
    .option('--into-new', 'restore into a database that is made for it, and put that in its place')
    .option('--roles', 'make the roles that the backup has beside it, where they are not there')
    .option('--no-owner', 'leave owners and grants out; of PostgreSQL')
    .option('--jobs <n>', 'connections that load, where the form lets several; 2')
    .option('--identity <file>', 'of age, for a backup that is encrypted')
    .option('--client-folder <folder>', 'of pg_restore, mariadb or mysql')
    .option('--credentials <file>', 'key id and secret; else those of the AWS tools')
    .option('--compare', 'compare the database that is there with the backup, and change nothing')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error')
    .action(async (flags: RestoreFlags) => {
      const [{ restoreBackup }, { restoreText }, { backupReporter }] = await Promise.all([
        import('../jobs/backup/restore.ts'),
        import('../report/backup-text.ts'),
        import('../report/backup-reporter.ts'),
      ]);
      const { credentials, compare = false, json = false, owner, jobs: jobsText, ...options } = flags;
      const { to: from, env } = await storeSettings({ to: flags.from, credentials }, process.env);
      const jobs = jobsText === undefined ? undefined : Number(jobsText);
      if (compare) {
        await compareOnly({ ...options, from, jobs }, env, json, finish);
        return;
      }
      const emit = backupReporter(json ? 'ndjson' : 'terminal', process.stderr);
      const restored = await stoppable(
        (signal) => restoreBackup({ ...options, from, noOwner: !owner, jobs }, { env, signal, emit }),
        {
          json,
          text: options.intoNew ? 'the database that was made for it goes' : 'what was restored so far stays',
        },
      );
      process.stdout.write(`${json ? JSON.stringify(restored) : restoreText(restored)}\n`);
      finish(0);
    });
}

/** 1 is for differences. */
async function compareOnly(
  options: RestoreJobOptions,
  env: Readonly<Record<string, string | undefined>>,
  json: boolean,
  finish: Finish,
): Promise<void> {
  const [{ compareBackup }, { comparedText }] = await Promise.all([
    import('../jobs/backup/compare-backup.ts'),
    import('../report/backup-text.ts'),
  ]);
  const compared = await stoppable((signal) => compareBackup(options, { env, signal }), {
    json,
    text: 'nothing was changed',
  });
  process.stdout.write(`${json ? JSON.stringify(compared) : comparedText(compared)}\n`);
  finish(compared.problems.length === 0 ? 0 : 1);
}
