/** The settings of a replication: the schema that checks them, and what they become. */

import { z } from 'zod';
import { parseBytes } from '../../config/bytes.ts';
import { parseDuration } from '../../config/duration.ts';
import { parseSettings } from '../../config/parse-settings.ts';
import { readUnit } from '../../config/read-unit.ts';

const duration = z
  .union([z.number().nonnegative(), z.string()])
  .transform((value, context) => readUnit(value, context, parseDuration));

const bytes = z
  .union([z.number().positive(), z.string()])
  .transform((value, context) => readUnit(value, context, parseBytes));

function patternsOf(value: string | readonly string[]): string[] {
  return (typeof value === 'string' ? value.split(',') : value).map((pattern) => pattern.trim());
}

/**
 * Every option of a replication, as `longshore.yaml`, the command line and the library give it.
 * Durations are milliseconds or text like `2m`; sizes are bytes or text like `64MiB`.
 */
export const replicateSchema = z.strictObject({
  from: z.string().describe('the database: postgres://…/database'),
  to: z
    .string()
    .describe(
      'where it goes: s3://bucket/prefix/, file:///folder/, duckdb:///folder/file.duckdb or postgres://…/database',
    ),
  mode: z
    .enum(['full-load', 'cdc', 'full-load-and-cdc'])
    .default('full-load-and-cdc')
    .describe('load every table, follow the changes, or both'),
  tables: z
    .union([z.string(), z.array(z.string())])
    .transform((value) => patternsOf(value))
    .default(['*.*'])
    .describe('patterns of schema.table; * stands for anything, ! leaves out: public.*,!public.audit_*'),
  name: z
    .string()
    .regex(/^[a-z0-9_]{1,40}$/, 'small letters, digits and _, at most 40')
    .default('longshore')
    .describe('of the job: its slot and publication are called longshore_<name>'),
  every: duration.default(120_000).describe('how long changes are gathered before they are landed'),
  untilCaughtUp: z.boolean().default(false).describe('end when everything up to the start is landed'),
  compression: z.enum(['snappy', 'zstd', 'gzip', 'none']).default('zstd').describe('of the files'),
  maxFileSize: bytes.default(256 * 1024 ** 2).describe('about how large a file becomes'),
  workers: z
    .number()
    .int()
    .positive()
    .max(16)
    .default(2)
    .describe('threads, each with a connection, that load'),
  datePartition: z.boolean().default(false).describe('put change files into YYYY/MM/DD/ by commit time'),
  timestampColumn: z
    .string()
    .optional()
    .describe('a text column with the commit time, in full load files the time of the load'),
  keepSnapshot: duration
    .default(600_000)
    .describe(
      'how long the snapshot of a full load is held for a process that goes on with it; 0: not at all',
    ),
  resync: z
    .union([z.string(), z.array(z.string())])
    .transform((value) => patternsOf(value))
    .optional()
    .describe('patterns of tables to load again, before changes are followed'),
  walWarning: bytes.default(10 * 1024 ** 3).describe('warn when the server keeps so much log for the slot'),
  walLimit: bytes.optional().describe('stop when the server keeps so much log for the slot'),
  walLimitAction: z
    .enum(['stop', 'drop'])
    .default('stop')
    .describe(
      'at the limit: stop, or drop the slot, so that the server is safe and the tables are loaded again',
    ),
  opInFullLoad: z.boolean().default(false).describe('an Op column, I, in full load files too'),
});

/** As given by a user. */
export type ReplicateOptions = z.input<typeof replicateSchema>;

/** Checked, with every default filled in; frozen. */
export type ReplicateSettings = Readonly<z.output<typeof replicateSchema>>;

/** @throws CONFIG_INVALID, naming every option that is wrong */
export function resolveReplicateOptions(options: unknown): ReplicateSettings {
  return parseSettings('replicate', replicateSchema, options);
}
