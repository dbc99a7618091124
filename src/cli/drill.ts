/** `longshore drill`: restores a backup into a throw-away server, and says whether it is what it should be. */

import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { storeSettings } from '../config/credentials-file.ts';
import { LongshoreError, messageOf } from '../errors.ts';
import type { DrillOptions } from '../jobs/backup/drill.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface DrillFlags extends Omit<DrillOptions, 'assertions' | 'jobs'> {
  readonly assert?: readonly string[];
  readonly assertions?: string;
  readonly credentials?: string;
  readonly jobs?: string;
  readonly json?: boolean;
}

export function registerDrill(program: Command, finish: Finish): void {
  program
    .command('drill')
    .description('restore a backup into a throw-away server of this machine, compare, and note the result')
    .requiredOption(
      '--from <url>',
      'a backup, or a prefix that ends with a slash for the newest one below it',
    )
    .option('--latest', 'the newest one below the prefix, as without it')
    .option('--assert <query...>', "that has to answer true: 'SELECT count(*) > 100 FROM orders'")
    .option('--assertions <file>', 'of such queries, each ended by a semicolon')
    .option('--identity <file>', 'of age, for a backup that is encrypted')
    .option('--jobs <n>', 'connections that load, where the form lets several; 2')
    .addOption(
      new Option('--product <product>', 'of a file that another program dumped').choices([
        'PostgreSQL',
        'MariaDB',
        'MySQL',
      ]),
    )
    .option('--client-folder <folder>', 'of pg_restore, mariadb or mysql')
    .option('--server-folder <folder>', 'of postgres and initdb')
    .option('--credentials <file>', 'key id and secret; else those of the AWS tools')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error')
    .action(async (flags: DrillFlags) => {
      const [{ drillBackup }, { drillText }, { backupReporter }] = await Promise.all([
        import('../jobs/backup/drill.ts'),
        import('../report/backup-text.ts'),
        import('../report/backup-reporter.ts'),
      ]);
      const { credentials, json = false, assert = [], assertions, jobs, ...options } = flags;
      const { to: from, env } = await storeSettings({ to: flags.from, credentials }, process.env);
      const queries = [...assert, ...(assertions === undefined ? [] : queriesIn(assertions))];
      const emit = backupReporter(json ? 'ndjson' : 'terminal', process.stderr);
      const drilled = await stoppable(
        (signal) =>
          drillBackup(
            { ...options, from, assertions: queries, jobs: jobs === undefined ? undefined : Number(jobs) },
            { env, signal, emit },
          ),
        { json, text: 'the server of the drill goes, and nothing is noted' },
      );
      process.stdout.write(`${json ? JSON.stringify(drilled) : drillText(drilled)}\n`);
      finish(drilled.ok ? 0 : 1);
    });
}

function queriesIn(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split(/;\s*(?:\r?\n|$)/)
      .map((query) => query.trim())
      .filter((query) => query !== '');
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'name a file of queries with --assertions',
    });
  }
}
