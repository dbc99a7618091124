/** The settings of a backup: the schema that checks them, and what they become. */

import { resolve } from 'node:path';
import { z } from 'zod';
import { parseDuration } from '../../config/duration.ts';
import { parseSettings } from '../../config/parse-settings.ts';
import { readUnit } from '../../config/read-unit.ts';
import { JOBS } from '../../databases/dump.ts';
import { DEFAULT_TEMPLATE } from './dated-keys.ts';
import { localTimeZone } from './run-moment.ts';

const duration = z
  .union([z.number().nonnegative(), z.string()])
  .transform((value, context) => readUnit(value, context, parseDuration));

/**
 * Every option of a backup, as `longshore.yaml`, the command line and the library give it.
 * Durations are milliseconds or text like `2m`.
 */
export const backupSchema = z.strictObject({
  database: z
    .string()
    .optional()
    .describe('what is backed up: postgres://…/database, mariadb:// or mysql://'),
  watch: z
    .string()
    .optional()
    .describe('instead of a database, the file that another program dumps: ./dumps/datadump.sql'),
  to: z
    .string()
    .optional()
    .describe('where it goes: s3://bucket/prefix/ or file:///folder/; made where there is none'),
  credentials: z
    .string()
    .optional()
    .describe('a file with key id, secret and where wanted the bucket; else those of the AWS tools'),
  key: z
    .string()
    .default(DEFAULT_TEMPLATE)
    .describe('of the keys below it; {date}, {time} and {index} are those of the run'),
  timeZone: z
    .string()
    .default(() => localTimeZone())
    .describe('of dates, hours and the schedule: UTC, Europe/Berlin; that of the machine'),
  log: z
    .string()
    .default('.longshore/backup-log')
    .transform((path) => resolve(path))
    .describe('the folder of the log: a file a day, a line an attempt'),
  format: z
    .enum(['custom', 'plain', 'directory', 'split'])
    .optional()
    .describe('custom for PostgreSQL and plain for MySQL and MariaDB; split for large tables of PostgreSQL'),
  compression: z.coerce.number().int().min(0).max(19).default(1).describe('the level of zstd; 0 for none'),
  encryptTo: z
    .union([z.string(), z.array(z.string())])
    .transform((value) => (typeof value === 'string' ? value.split(',') : value).map((one) => one.trim()))
    .default([])
    .describe('recipients of age, age1…, who alone can read the backup'),
  jobs: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(JOBS)
    .describe('connections that read, in the split form'),
  clientFolder: z.string().optional().describe('of pg_dump, mariadb-dump or mysqldump'),
  lockWait: duration.default(60_000).describe('how long a locked table is waited for'),
  rolePasswords: z
    .boolean()
    .default(true)
    .describe('keep those of the roles of PostgreSQL, as the server stores them'),
  settle: duration.default(2_000).describe('how long a watched file may not change before it is taken'),
  schedule: z
    .string()
    .optional()
    .describe("a time in cron's words: '0 3 * * *' for three o'clock each night"),
  jitter: duration.default(0).describe('wait a random time up to this before a scheduled backup'),
  keep: z
    .string()
    .optional()
    .describe('what is kept after a backup: last=3,daily=7,weekly=4,monthly=12,yearly=2, or some of these'),
  webhook: z.string().optional().describe('a URL that is told of each failure, as JSON'),
});

/** As given by a user. */
export type BackupJobOptions = z.input<typeof backupSchema>;

/** Checked, with every default filled in; frozen. */
export type BackupSettings = Readonly<z.output<typeof backupSchema>>;

/** @throws CONFIG_INVALID, naming every option that is wrong */
export function resolveBackupOptions(options: unknown): BackupSettings {
  return parseSettings('backup', backupSchema, options, contradictions);
}

function contradictions({ database, watch, keep, jitter, schedule }: BackupSettings): string[] {
  const problems: string[] = [];
  if ((database === undefined) === (watch === undefined))
    problems.push('give a database, or a file to watch: one of the two');
  if (watch !== undefined && keep !== undefined)
    problems.push('keep: what is shipped from a folder is pruned by `longshore backup prune`');
  if (jitter > 0 && schedule === undefined) problems.push('jitter: it is for a schedule');
  return problems;
}
