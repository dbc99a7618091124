/** `longshore backup`: with --watch, ships the dumps that another program writes into a folder. */

import { resolve } from 'node:path';
import type { Command } from 'commander';
import { storeSettings } from '../config/credentials-file.ts';
import { parseDuration } from '../config/duration.ts';
import { LongshoreError, messageOf } from '../errors.ts';
import type { WatchOptions, WatchResult } from '../jobs/backup/ship-watched.ts';
import { registerBackupList } from './backup-list.ts';
import { registerBackupPrune } from './backup-prune.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface BackupFlags {
  readonly watch?: string;
  readonly to?: string;
  readonly credentials?: string;
  readonly key: string;
  readonly timeZone?: string;
  readonly log: string;
  readonly settle: string;
  readonly schedule?: string;
  readonly json?: boolean;
}

export function registerBackup(program: Command, finish: Finish): void {
  const backup = program
    .command('backup')
    .description('ship the dumps that another program writes into a folder: upload, prove, then delete')
    .option('--watch <file>', 'the file that is looked for: ./dumps/datadump.sql')
    .option('--to <url>', 'where it goes: s3://bucket/prefix/ or file:///folder/; made where there is none')
    .option('--credentials <file>', 'key id, secret and where wanted the bucket; else those of the AWS tools')
    .option(
      '--key <template>',
      'of the keys below it; {date}, {time} and {index} are those of the run',
      '{date}/datadump{index}',
    )
    .option('--time-zone <zone>', 'of dates, hours and the schedule: UTC, Europe/Berlin; that of the machine')
    .option('--log <folder>', 'a file a day, a line an attempt', '.longshore/backup-log')
    .option('--settle <duration>', 'how long the file may not change before it is taken', '2s')
    .option('--schedule <cron>', "look again and again: '* * * * *' for every minute")
    .option('--json', 'one line of JSON a look')
    .action((flags: BackupFlags) => ship(flags, finish));
  registerBackupList(backup, finish);
  registerBackupPrune(backup, finish);
}

async function ship(flags: BackupFlags, finish: Finish): Promise<void> {
  const [{ shipWatched }, { runOnSchedule }, { localTimeZone }] = await Promise.all([
    import('../jobs/backup/ship-watched.ts'),
    import('../jobs/backup/on-schedule.ts'),
    import('../jobs/backup/run-moment.ts'),
  ]);
  if (flags.watch === undefined) {
    throw new LongshoreError('CONFIG_INVALID', 'nothing says what is backed up', {
      hint: 'give --watch with the file that is looked for',
    });
  }
  const { to, env } = await storeSettings(flags, process.env);
  const { key, schedule, json = false, timeZone = localTimeZone() } = flags;
  const options: WatchOptions = {
    watch: resolve(flags.watch),
    to,
    key,
    timeZone,
    log: resolve(flags.log),
    settle: parseDuration(flags.settle),
  };
  const tell = (text: string): void => {
    process.stderr.write(json ? `${JSON.stringify({ type: 'notice', text })}\n` : `note: ${text}\n`);
  };
  const look = async (signal: AbortSignal): Promise<void> => {
    const result = await shipWatched(options, { env, signal, notice: tell });
    process.stdout.write(`${json ? JSON.stringify(result) : textOf(result, to)}\n`);
  };
  await stoppable(
    async (signal) => {
      if (schedule === undefined) return await look(signal);
      // What goes wrong once is told, and tried again at the next time.
      const lookAgain = async (): Promise<void> => {
        try {
          await look(signal);
        } catch (error) {
          signal.throwIfAborted();
          tell(messageOf(error));
        }
      };
      return await runOnSchedule({ pattern: schedule, timeZone }, lookAgain, signal);
    },
    { json, text: 'what is not shipped yet stays in its folder' },
  );
  finish(0);
}

function textOf({ shipped, left }: WatchResult, to: string): string {
  const lines = shipped.map(
    ({ key, bytes }) => `${key}: ${bytes.toLocaleString('en-US')} bytes are in ${to}, and proven`,
  );
  if (left !== undefined) lines.push(`${left}; it is left alone`);
  return lines.length === 0 ? 'there is no file to upload' : lines.join('\n');
}
