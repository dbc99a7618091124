/**
 * `longshore replicate`: PostgreSQL into Parquet files; `check` behind it says what is in the way, `verify` holds files
 * against tables, `drop` takes the slot away.
 */

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { readJob } from '../config/config-file.ts';
import { LongshoreError, messageOf } from '../errors.ts';
import { killingFailpoint } from '../flow/failpoint.ts';
import { fromDmsSettings } from '../jobs/replicate/dms-settings.ts';
import type { ReplicateOptions } from '../jobs/replicate/settings.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

/** Flags that are no settings of the job. */
const NOT_SETTINGS = new Set(['config', 'plan', 'json', 'dmsSettings']);

export function registerReplicate(program: Command, finish: Finish): void {
  const command = program
    .command('replicate')
    .description('replicate PostgreSQL into Parquet files: load every table, then follow the changes')
    .argument(
      '[job]',
      'a job of longshore.yaml; or verify: hold its files against its tables; or drop: take its slot and its publication away; or check: say what is in the way',
    )
    .argument('[name]', 'the job that is verified, dropped or checked')
    .option('--from <url>', 'the database: postgres://…/database')
    .option(
      '--to <url>',
      'where it goes: s3://bucket/prefix/, file:///folder/, duckdb:///folder/file.duckdb or postgres://…/database',
    )
    .option('--mode <mode>', 'full-load, cdc or full-load-and-cdc')
    .option(
      '--tables <patterns>',
      'schema.table, with * for anything and ! to leave out: public.*,!public.audit_*',
    )
    .option('--name <name>', 'of the job, where several share a database or a prefix')
    .option('--every <duration>', 'how long changes are gathered before they are landed')
    .option('--until-caught-up', 'end when everything up to the start is landed')
    .option('--compression <codec>', 'snappy, zstd, gzip or none')
    .option('--max-file-size <bytes>', 'about how large a file becomes')
    .option('--workers <n>', 'threads that load, each with a connection', Number)
    .option('--date-partition', 'put change files into YYYY/MM/DD/ by commit time')
    .option('--timestamp-column <name>', 'a text column with the commit time')
    .option('--op-in-full-load', 'an Op column in full load files too')
    .option(
      '--keep-snapshot <duration>',
      'how long the snapshot of a full load is held for one that goes on with it',
    )
    .option('--resync <patterns>', "tables to load again; '*.*' for all, also where the slot is gone")
    .option('--wal-warning <bytes>', 'warn when the server keeps so much log for the slot')
    .option('--wal-limit <bytes>', 'stop when the server keeps so much log for the slot')
    .option('--wal-limit-action <action>', 'at the limit: stop, or drop the slot')
    .option('--dms-settings <file>', 'settings of an AWS DMS endpoint for S3, as JSON; flags go over them')
    .option('--config <file>', 'where jobs are described', 'longshore.yaml')
    .option('--plan', 'say what would be done, and which type becomes what, and change nothing')
    .option('--json', 'one JSON summary on standard output, progress as NDJSON on standard error');
  command.action(
    async (first: string | undefined, second: string | undefined, flags: Record<string, unknown>) => {
      const verb = first === 'drop' || first === 'verify' || first === 'check' ? first : undefined;
      const options = replicateOptionsOf(verb === undefined ? first : second, flags, process.env);
      const json = flags['json'] === true;
      if (verb === 'verify') {
        await verifyReplication(options, json, finish);
        return;
      }
      if (verb === 'check') {
        await checkReplicationOf(options, json, finish);
        return;
      }
      if (verb === 'drop') {
        const { dropReplicationOf } = await import('../jobs/replicate/run.ts');
        await dropReplicationOf(options);
        process.stdout.write('the slot and the publication are gone; what was replicated stays\n');
        return;
      }
      if (flags['plan'] === true) {
        const [{ planReplication }, { replicatePlanText }] = await Promise.all([
          import('../jobs/replicate/plan.ts'),
          import('../report/replicate-text.ts'),
        ]);
        const plan = await planReplication(options);
        process.stdout.write(`${json ? JSON.stringify(plan) : replicatePlanText(plan)}\n`);
        return;
      }
      const [{ replicate }, { replicateReporter, replicateText }] = await Promise.all([
        import('../jobs/replicate/run.ts'),
        import('../report/replicate-text.ts'),
      ]);
      const summary = await stoppable(
        (signal) =>
          replicate(options, {
            signal,
            emit: replicateReporter(json ? 'ndjson' : 'terminal', process.stderr),
            failpoint: killingFailpoint(process.env['LONGSHORE_KILL_AT']),
          }),
        { json },
      );
      process.stdout.write(`${json ? JSON.stringify(summary) : replicateText(summary)}\n`);
    },
  );
}

/** Verifies, and tells what it found; 1 is for differences. */
export async function verifyReplication(
  options: ReplicateOptions,
  json: boolean,
  finish: Finish,
): Promise<void> {
  const [{ verifyReplica }, { replicaVerifiedText }] = await Promise.all([
    import('../jobs/replicate/verify.ts'),
    import('../report/replicate-text.ts'),
  ]);
  const verified = await stoppable((signal) => verifyReplica(options, { signal }), {
    json,
    text: 'the replica is as it was',
  });
  process.stdout.write(`${json ? JSON.stringify(verified) : replicaVerifiedText(verified)}\n`);
  finish(verified.differences > 0 ? 1 : 0);
}

/** Checks, and tells what it found; 3 is for what keeps the job from starting. */
export async function checkReplicationOf(
  options: ReplicateOptions,
  json: boolean,
  finish: Finish,
): Promise<void> {
  const [{ checkReplication }, { replicateCheckText }] = await Promise.all([
    import('../jobs/replicate/check.ts'),
    import('../report/replicate-text.ts'),
  ]);
  const result = await stoppable((signal) => checkReplication(options, { signal }), {
    json,
    text: 'nothing was changed',
  });
  process.stdout.write(`${json ? JSON.stringify(result) : replicateCheckText(result)}\n`);
  finish(result.errors > 0 ? 3 : 0);
}

export function replicateOptionsOf(
  name: string | undefined,
  flags: Record<string, unknown>,
  env: Readonly<Record<string, string | undefined>>,
): ReplicateOptions {
  const byFlags = Object.fromEntries(
    Object.entries(flags).filter(([flag, value]) => value !== undefined && !NOT_SETTINGS.has(flag)),
  );
  const { dms, ...byFile } = readJob(String(flags['config']), 'replicate', name, env) ?? {};
  const pasted = flags['dmsSettings'] === undefined ? dms : contentOf(String(flags['dmsSettings']));
  const byDms = pasted === undefined ? undefined : fromDmsSettings(pasted);
  for (const { name: setting, why } of byDms?.ignored ?? [])
    process.stderr.write(`note: ${setting}: ${why}\n`);
  const named = name === undefined ? {} : { name };
  const options: Record<string, unknown> = { ...named, ...byDms?.options, ...byFile, ...byFlags };
  if (!('from' in options) || !('to' in options)) {
    throw new LongshoreError('CONFIG_INVALID', 'nothing says from where to where', {
      hint: 'give --from and --to, or name a job of longshore.yaml',
    });
  }
  return options as ReplicateOptions;
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'name the file of the DMS endpoint with --dms-settings',
    });
  }
}
