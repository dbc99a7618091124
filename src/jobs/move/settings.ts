/** The settings of a move: the schema that checks them, and what they become. */

import { z } from 'zod';
import { parseBytes } from '../../config/bytes.ts';
import { parseDuration } from '../../config/duration.ts';
import { parseSettings } from '../../config/parse-settings.ts';
import { readUnit } from '../../config/read-unit.ts';
import { LongshoreError } from '../../errors.ts';

const duration = z
  .union([z.number().nonnegative(), z.string()])
  .transform((value, context) => readUnit(value, context, parseDuration));

const bytes = z
  .union([z.number().positive(), z.string()])
  .transform((value, context) => readUnit(value, context, parseBytes));

const deletion = z.union([z.number().nonnegative(), z.string()]).transform((value, context) => {
  if (value === 'never' || value === 'proven') return value;
  return readUnit(value, context, parseDuration, 'never, proven, or ');
});

const keyRule = z.union([
  z.strictObject({ prefix: z.string(), to: z.string() }),
  z.strictObject({ pattern: z.string(), replacement: z.string() }),
]);

const batchSettings = z
  .strictObject({
    accountId: z
      .string()
      .regex(/^\d{12}$/, 'an account has 12 digits')
      .describe('account that runs the jobs'),
    roleArn: z
      .string()
      .regex(/^arn:[^:]+:iam::\d{12}:role\/.+$/, 'not the ARN of a role')
      .describe('role of the jobs'),
    lambdaArn: z
      .string()
      .regex(/^arn:[^:]+:lambda:.+$/, 'not the ARN of a function')
      .optional()
      .describe('function that copies one object, for rules that the copy operation cannot express'),
    priority: z.number().int().nonnegative().default(10).describe('of the jobs among those of the account'),
    prefix: z
      .string()
      .startsWith('s3://')
      .optional()
      .describe('where manifests and reports go; default: .longshore-batch/<run>/ under `to`'),
  })
  .describe('S3 Batch Operations, with `copyWith: s3-batch`');

/**
 * Every option of a move, as `longshore.yaml`, the command line and the library give it.
 * Durations are milliseconds or text like `10m`; sizes are bytes or text like `64MiB`.
 */
export const moveSchema = z.strictObject({
  from: z.string().describe('where objects are: s3://bucket/prefix/ or file:///folder/'),
  to: z.string().describe('where they go'),
  rows: z
    .union([z.string(), z.array(z.string())])
    .transform((value) => (Array.isArray(value) ? value : [value]))
    .default([])
    .describe('columns that name them: postgres://…/database#table.column, mysql://…'),
  rules: z
    .array(keyRule)
    .default([])
    .describe('maps keys; without rules the prefix of `from` becomes that of `to`'),
  urls: z
    .array(z.strictObject({ from: z.string(), to: z.string() }))
    .default([])
    .describe('URL bases that rows use for the two buckets, for instance of a CDN'),
  by: z.enum(['auto', 'listing', 'rows', 'inventory']).default('auto').describe('what drives the move'),
  inventory: z
    .string()
    .optional()
    .describe(
      'manifest.json of an S3 Inventory, or a .csv, .csv.gz or .parquet list of keys: s3:// or file://',
    ),
  include: z.array(z.string()).default([]).describe('only keys that match one of these globs'),
  exclude: z.array(z.string()).default([]).describe('no keys that match one of these globs'),
  orphans: z.enum(['move', 'leave', 'report']).default('report').describe('objects that no row names'),
  dangling: z
    .enum(['report', 'follow'])
    .default('report')
    .describe('rows whose object is only on the target, where this move did not put it'),
  prove: z.enum(['etag', 'checksum', 'bytes']).default('etag').describe('what a copy is proven by, at least'),
  delete: deletion
    .default(10 * 60_000)
    .describe('when a moved object leaves the source: never, proven (at once), or after a grace period'),
  orphanGrace: duration
    .default(60_000)
    .describe('how long an object that no row names is left alone, so that a row may still follow it'),
  collisions: z.enum(['stop', 'skip']).default('stop').describe('targets that hold other content'),
  copyWith: z.enum(['store', 'stream', 's3-batch']).default('store').describe('who copies'),
  batch: batchSettings.optional(),
  tags: z.boolean().default(true).describe('keep tags'),
  acl: z.boolean().default(false).describe('keep ACLs'),
  encryption: z
    .boolean()
    .default(true)
    .describe('keep encryption settings that differ from the target default'),
  follow: z.boolean().default(false).describe('stay and move what appears, until stopped'),
  concurrency: z.number().int().positive().optional().describe('pin the number of requests under way'),
  requestsPerSecond: z.number().positive().optional(),
  bytesPerSecond: bytes.optional(),
  rowsPerSecond: z.number().positive().optional(),
  replicaLagMax: duration.optional().describe('rows wait while a replica is further behind'),
  window: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'not a time of day such as 22:00-06:00')
    .optional()
    .describe('rows change only in this time of day, local time: 22:00-06:00'),
  listLanes: z.number().int().positive().default(16).describe('listings under way at once'),
  requesterPays: z.boolean().default(false),
});

/** As given by a user. */
export type MoveOptions = z.input<typeof moveSchema>;

/** Checked, with every default filled in; frozen. */
export type MoveSettings = Readonly<z.output<typeof moveSchema>>;

/**
 * Checks options.
 * @throws CONFIG_INVALID, naming every option that is wrong
 */
export function resolveMoveOptions(options: unknown): MoveSettings {
  return Object.freeze(checkedTogether(parseSettings('move', moveSchema, options)));
}

/** What one option asks of another. */
function checkedTogether(settings: z.output<typeof moveSchema>): MoveSettings {
  if (settings.by === 'inventory' && settings.inventory === undefined) {
    throw new LongshoreError('CONFIG_INVALID', 'the move is by inventory, and no inventory is named', {
      hint: 'give --inventory s3://bucket/…/manifest.json',
    });
  }
  if (settings.inventory !== undefined && (settings.by === 'listing' || settings.by === 'rows')) {
    throw new LongshoreError('CONFIG_INVALID', `an inventory is named, and the move is by ${settings.by}`, {
      hint: 'leave out one of --inventory and --by',
    });
  }
  if (settings.copyWith === 's3-batch' && settings.batch === undefined) {
    throw new LongshoreError('CONFIG_INVALID', 'S3 Batch Operations need an account and a role', {
      hint: 'give --batch-account and --batch-role; see docs/move.md',
    });
  }
  return settings.inventory === undefined ? settings : { ...settings, by: 'inventory' };
}

/** The grace period in milliseconds; undefined when nothing is deleted. */
export function deletionGraceMs(settings: MoveSettings): number | undefined {
  if (settings.delete === 'never') return undefined;
  return settings.delete === 'proven' ? 0 : settings.delete;
}
