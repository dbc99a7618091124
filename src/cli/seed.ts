/** `longshore seed`: sample objects and rows to try Longshore on. */

import type { Command } from 'commander';
import { databaseFromEnvironment, moveFromEnvironment } from '../config/script-environment.ts';
import { LongshoreError } from '../errors.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

export function registerSeed(program: Command, _finish: Finish): void {
  program
    .command('seed')
    .description('make sample objects and the rows that name them')
    .option('--objects <n>', 'how many', Number, 1000)
    .option('--to <url>', 'where they go: s3://legacy-s3/image/')
    .option('--modern <url>', 'where every second one goes, as if it had been moved already')
    .option('--rows <url>', 'the column that names them; the table is made where it is missing')
    .option('--file <path>', 'content of every object, in place of drawn pictures (AVATAR_FILE)')
    .option('--first <n>', 'number of the first one', Number, 1)
    .action(async (flags: Record<string, string | undefined> & { objects: number; first: number }) => {
      const { seed } = await import('../demo/seed.ts');
      const environment = moveFromEnvironment(process.env);
      const to = flags['to'] ?? environment?.from;
      if (to === undefined) {
        throw new LongshoreError('CONFIG_INVALID', 'nothing says where the objects go', {
          hint: 'give --to s3://bucket/prefix/, or set S3_LEGACY_BUCKET_NAME and S3_PROD_BUCKET_NAME',
        });
      }
      if (!(Number.isInteger(flags.objects) && flags.objects > 0)) {
        throw new LongshoreError('CONFIG_INVALID', 'cannot read --objects: it is not a whole number above 0');
      }
      const database = databaseFromEnvironment(process.env);
      const seeded = await stoppable(
        (signal) =>
          seed({
            objects: flags.objects,
            first: flags.first,
            to,
            modern: flags['modern'] ?? (flags['to'] === undefined ? environment?.to : undefined),
            rows: flags['rows'] ?? (database === undefined ? undefined : `${database}#avatars.path`),
            file: flags['file'] ?? (process.env['AVATAR_FILE'] || undefined),
            signal,
            onProgress: (objects) => {
              if (process.stderr.isTTY) process.stderr.write(`\r${objects.toLocaleString('en-US')} objects`);
            },
          }),
        { text: 'what is there stays there; --first goes on at a number' },
      );
      if (process.stderr.isTTY) process.stderr.write('\n');
      process.stdout.write(
        `seeded ${seeded.objects.toLocaleString('en-US')} objects, ${seeded.bytes.toLocaleString('en-US')} bytes\n`,
      );
    });
}
