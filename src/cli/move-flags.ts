/** The flags that describe a move, and how flags, file and environment become its options. */

import type { Command } from 'commander';
import { CONFIG_FILE, readJob } from '../config/config-file.ts';
import { moveFromEnvironment } from '../config/script-environment.ts';
import { LongshoreError } from '../errors.ts';
import type { MoveOptions } from '../jobs/move/settings.ts';

/** Adds the flags to a command that takes the name of a move. */
export function addMoveFlags(command: Command): Command {
  return command
    .argument('[name]', `a move of ${CONFIG_FILE}`)
    .option('--config <file>', 'the configuration file', CONFIG_FILE)
    .option('--from <url>', 'where objects are: s3://bucket/prefix/ or file:///folder/')
    .option('--to <url>', 'where they go')
    .option('--rows <url...>', 'columns that name them: postgres://…/db#table.column (or mysql://)')
    .option('--rule <pattern=>replacement...>', 'maps keys by a regular expression with captures')
    .option('--url <from=to...>', 'URL bases that rows use for the two buckets')
    .option('--by <driver>', 'auto, listing, rows or inventory')
    .option(
      '--inventory <url>',
      'manifest.json of an S3 Inventory, or a list of keys (.csv, .csv.gz, .parquet)',
    )
    .option('--include <glob...>', 'only these keys')
    .option('--exclude <glob...>', 'not these keys')
    .option('--orphans <what>', 'objects that no row names: move, leave or report')
    .option('--orphan-grace <duration>', 'how long an object without a row is left alone')
    .option('--dangling <what>', 'rows whose object only the target has, from elsewhere: report or follow')
    .option('--prove <kind>', 'etag, checksum or bytes')
    .option('--delete <when>', 'never, proven, or a grace period such as 10m or 24h')
    .option('--collisions <what>', 'stop or skip')
    .option('--copy-with <who>', 'store, stream or s3-batch')
    .option('--batch-account <id>', 'account that runs S3 Batch Operations')
    .option('--batch-role <arn>', 'role of their jobs')
    .option('--batch-lambda <arn>', 'function that copies one object; Longshore prints it')
    .option('--batch-priority <n>', 'of their jobs among those of the account', Number)
    .option('--batch-prefix <url>', 'where their manifests and reports go: s3://bucket/prefix/')
    .option('--no-tags', 'do not keep tags')
    .option('--acl', 'keep ACLs')
    .option('--no-encryption', 'do not keep encryption settings')
    .option('--follow', 'stay and move what appears, until stopped')
    .option('--concurrency <n>', 'pin the number of requests under way', Number)
    .option('--requests-per-second <n>', 'limit', Number)
    .option('--bytes-per-second <size>', 'limit of what passes through this machine')
    .option('--rows-per-second <n>', 'limit', Number)
    .option('--replica-lag-max <duration>', 'rows wait while a replica is further behind')
    .option('--window <hh:mm-hh:mm>', 'rows change only in this time of day')
    .option('--requester-pays', 'accept requester-pays charges');
}

/** Flags of S3 Batch Operations, and their names among its settings. */
const BATCH_FLAGS: Readonly<Record<string, string>> = {
  batchAccount: 'accountId',
  batchRole: 'roleArn',
  batchLambda: 'lambdaArn',
  batchPriority: 'priority',
  batchPrefix: 'prefix',
};

/** Flags that are not options of the move itself. */
const NOT_OPTIONS = new Set(['config', 'plan', 'json', 'state', 'run', 'verbose', 'probe', 'role', 'lambda']);

/**
 * The options of a move: flags over the file over the environment.
 * @throws CONFIG_INVALID when neither says from where to where
 */
export function moveOptionsOf(
  name: string | undefined,
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): MoveOptions {
  const byFlags: Record<string, unknown> = {};
  const batch: Record<string, unknown> = {};
  for (const [flag, value] of Object.entries(flags)) {
    if (value === undefined || NOT_OPTIONS.has(flag)) continue;
    // Flags that turn something off are there, as true, when nobody gave them.
    if ((flag === 'tags' || flag === 'encryption') && value === true) continue;
    if (flag === 'rule') byFlags['rules'] = (value as string[]).map(ruleOf);
    else if (flag === 'url') byFlags['urls'] = (value as string[]).map(urlPairOf);
    else if (flag in BATCH_FLAGS) batch[BATCH_FLAGS[flag]!] = value;
    else byFlags[flag] = value;
  }
  const byFile = readJob(String(flags['config']), 'move', name, env) ?? {};
  const byEnvironment = moveFromEnvironment(env) ?? {};
  if (Object.keys(batch).length > 0)
    byFlags['batch'] = { ...(byFile['batch'] as object | undefined), ...batch };
  const options = { ...byEnvironment, ...byFile, ...byFlags };
  if (!('from' in options) || !('to' in options)) {
    throw new LongshoreError('CONFIG_INVALID', 'nothing says from where to where', {
      hint: `give --from and --to, or a ${CONFIG_FILE} (longshore init), or set S3_LEGACY_BUCKET_NAME and S3_PROD_BUCKET_NAME; \`longshore demo\` shows how it works`,
    });
  }
  return options as MoveOptions;
}

export function ruleOf(text: string): { pattern: string; replacement: string } {
  const at = text.indexOf('=>');
  if (at < 0) throw badFlag('--rule', text, 'PATTERN=>REPLACEMENT');
  return { pattern: text.slice(0, at), replacement: text.slice(at + 2) };
}

function urlPairOf(text: string): { from: string; to: string } {
  const at = text.indexOf('=http') < 0 ? text.indexOf('=') : text.indexOf('=http');
  if (at < 0) throw badFlag('--url', text, 'https://old.example/=https://new.example/');
  return { from: text.slice(0, at), to: text.slice(at + 1) };
}

function badFlag(flag: string, value: string, form: string): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', `cannot read ${flag} "${value}"`, {
    hint: `write ${flag} '${form}'`,
  });
}
