/** `longshore backup`: backs up a database, or ships the dumps that another program writes into a folder. */

import type { Command } from 'commander';
import { readJob } from '../config/config-file.ts';
import type { BackupJobOptions } from '../jobs/backup/settings.ts';
import { registerBackupList } from './backup-list.ts';
import { registerBackupPrune } from './backup-prune.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

/** Flags that are no settings of the job. */
const NOT_SETTINGS = new Set(['config', 'plan', 'json']);

export function registerBackup(program: Command, finish: Finish): void {
  const backup = program
    .command('backup')
    .description('back up a database into a bucket, or ship the dumps that another program writes')
    .argument('[job]', 'a job of longshore.yaml')
    .option('--database <url>', 'what is backed up: postgres://…/database, mariadb:// or mysql://')
    .option('--watch <file>', 'instead, the file that another program dumps: ./dumps/datadump.sql')
    .option('--to <url>', 'where it goes: s3://bucket/prefix/ or file:///folder/; made where there is none')
    .option('--credentials <file>', 'key id, secret and where wanted the bucket; else those of the AWS tools')
    .option(
      '--key <template>',
      'of the keys below it, with {date}, {time} and {index}; {date}/datadump{index}',
    )
    .option('--time-zone <zone>', 'of dates, hours and the schedule: UTC, Europe/Berlin; that of the machine')
    .option('--log <folder>', 'a file a day, a line an attempt; .longshore/backup-log')
    .option('--format <format>', 'custom, plain, directory or split; split for large tables of PostgreSQL')
    .option('--compression <level>', 'of zstd, 1 to 19; 0 for none; 1')
    .option('--encrypt-to <recipients>', 'of age, age1…, who alone can read the backup')
    .option('--jobs <n>', 'connections that read, in the split form; 2')
    .option('--client-folder <folder>', 'of pg_dump, mariadb-dump or mysqldump')
    .option('--lock-wait <duration>', 'how long a locked table is waited for; 60s')
    .option('--no-role-passwords', 'leave those of the roles of PostgreSQL out')
    .option('--settle <duration>', 'how long a watched file may not change before it is taken; 2s')
    .option('--schedule <cron>', "again and again: '0 3 * * *' for three o'clock each night")
    .option('--jitter <duration>', 'wait a random time up to this before a scheduled backup')
    .option('--keep <policy>', 'what is kept after a backup: last=3,daily=7,weekly=4,monthly=12,yearly=2')
    .option('--webhook <url>', 'is told of each failure, as JSON')
    .option('--config <file>', 'where jobs are described', 'longshore.yaml')
    .option('--plan', 'say what would be done, and change nothing')
    .option('--json', 'one line of JSON for each backup, progress as NDJSON on standard error')
    .action((job: string | undefined, flags: Record<string, unknown>) => run(job, flags, finish));
  registerBackupList(backup, finish);
  registerBackupPrune(backup, finish);
}

async function run(job: string | undefined, flags: Record<string, unknown>, finish: Finish): Promise<void> {
  const json = flags['json'] === true;
  const options = optionsOf(job, flags);
  if (flags['plan'] === true) {
    const [{ planBackup }, { backupPlanText }] = await Promise.all([
      import('../jobs/backup/plan-backup.ts'),
      import('../report/backup-text.ts'),
    ]);
    const plan = await stoppable((signal) => planBackup(options, { signal }), {
      json,
      text: 'nothing was changed',
    });
    process.stdout.write(`${json ? JSON.stringify(plan) : backupPlanText(plan)}\n`);
    finish(0);
    return;
  }
  const [{ runBackup }, { backupResultText }, { backupReporter }] = await Promise.all([
    import('../jobs/backup/run.ts'),
    import('../report/backup-text.ts'),
    import('../report/backup-reporter.ts'),
  ]);
  const emit = backupReporter(json ? 'ndjson' : 'terminal', process.stderr);
  await stoppable(
    (signal) =>
      runBackup(options, { signal, emit }, (result) => {
        process.stdout.write(`${json ? JSON.stringify(result) : backupResultText(result)}\n`);
      }),
    { json, text: 'what is not whole is taken away again' },
  );
  finish(0);
}

function optionsOf(job: string | undefined, flags: Record<string, unknown>): BackupJobOptions {
  const byFlags = Object.fromEntries(
    Object.entries(flags).filter(
      // Commander says true where the flag that begins with `no` was not given.
      ([flag, value]) => value !== undefined && !NOT_SETTINGS.has(flag) && value !== true,
    ),
  );
  // Flags that say what is backed up describe a job alone.
  const isWhole = job === undefined && (byFlags['database'] ?? byFlags['watch']) !== undefined;
  const byFile = isWhole ? {} : (readJob(String(flags['config']), 'backup', job, process.env) ?? {});
  return { ...byFile, ...byFlags };
}
