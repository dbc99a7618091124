/** Every option of a clone that is made without an artifact: the schema that checks them, and what they become. */

import { z } from 'zod';
import { type DatabaseUrl, parseDatabaseUrl } from '../../config/database-url.ts';
import { parseSettings } from '../../config/parse-settings.ts';
import { readUnit } from '../../config/read-unit.ts';
import { JOBS } from '../../databases/dump.ts';
import { LongshoreError } from '../../errors.ts';
import type { Changelog } from './artifact.ts';
import { WAYS } from './database/choose-way.ts';
import type { BackupSource, DatabaseRequest } from './database/request.ts';
import { defaultOwner, lifeOf, TTL_MS_DEFAULT } from './settings.ts';

/**
 * As `longshore.yaml`, the command line and the library give them. Durations are milliseconds or text like `8h`.
 */
export const cloneSchema = z.strictObject({
  from: z.string().describe('the source: postgres://…/database or mariadb://…/database'),
  on: z
    .string()
    .optional()
    .describe('the server that the clone is made on, as a URL; that of the source where it is left out'),
  name: z.string().optional().describe('of the clone: shop_test'),
  mode: z
    .enum(['clone', 'create'])
    .default('clone')
    .describe('clone: with the rows of the source; create: an empty database with the changelog applied'),
  ttl: z
    .union([z.number().nonnegative(), z.string()])
    .transform((value, context) => readUnit(value, context, lifeOf))
    .default(TTL_MS_DEFAULT)
    .describe('how long it lives: 8h, 7d; 0 until it is dropped'),
  owner: z
    .string()
    .max(200)
    .default(() => defaultOwner())
    .describe('who answers for it; user@host'),
  how: z.enum(WAYS).optional().describe('instead of the fastest way that there is'),
  changelog: z.string().optional().describe('a file of Liquibase, for create'),
  masking: z.string().optional().describe('a file of masking rules'),
  backups: z
    .string()
    .optional()
    .describe(
      'where backups are, s3://bucket/prefix/: the newest one that a drill found good can be the source',
    ),
  jobs: z.coerce.number().int().min(1).max(64).default(JOBS).describe('connections that copy'),
  clientFolder: z.string().optional().describe('of pg_dump, mariadb-dump or mysqldump'),
  noOwner: z.boolean().default(false).describe('leave owners and grants out; of PostgreSQL'),
  compare: z.boolean().default(false).describe('hold every row of the clone against the source'),
  pool: z.coerce
    .number()
    .int()
    .min(0)
    .max(100)
    .optional()
    .describe('how many more are kept ready, so that the next one is there at once; of PostgreSQL'),
});

export type CloneOptions = z.input<typeof cloneSchema>;
export type CloneSettings = Readonly<z.output<typeof cloneSchema>>;

/** @throws CONFIG_INVALID, naming every option that is wrong */
export function resolveCloneOptions(options: unknown): CloneSettings {
  return parseSettings('clone', cloneSchema, options, contradictions);
}

/** Of an artifact, which says the rest. @throws CONFIG_INVALID */
export function resolveOwnerAndJobs(
  options: Pick<CloneOptions, 'owner' | 'jobs'>,
): Pick<CloneSettings, 'owner' | 'jobs'> {
  return parseSettings('clone', cloneSchema.pick({ owner: true, jobs: true }), options);
}

function contradictions({ mode, changelog, masking, name, pool, how }: CloneSettings): string[] {
  const problems: string[] = [];
  if (name === undefined && pool === undefined) problems.push('name: how is the clone to be called?');
  if (mode === 'clone' && changelog !== undefined)
    problems.push('changelog: it is for --mode create; a clone has the schema of its source');
  if (mode === 'create' && masking !== undefined)
    problems.push('masking: an empty database has no rows to mask');
  if (mode === 'create' && how !== undefined) problems.push('how: it is for a clone');
  return problems;
}

/** What the files hold that the settings name, and where backups are. */
export interface RequestParts {
  readonly changelog: Changelog | undefined;
  readonly masking: string | undefined;
  readonly backups: BackupSource | undefined;
}

/** @throws URL_INVALID, CONFIG_INVALID */
export function requestOf(
  settings: CloneSettings,
  parts: RequestParts,
  env: Readonly<Record<string, string | undefined>>,
): DatabaseRequest {
  const source = parseDatabaseUrl(settings.from, env);
  const on = settings.on === undefined ? source : parseDatabaseUrl(settings.on, env);
  checkSides(source, on);
  const { mode, owner, how: way, jobs, clientFolder, noOwner, compare } = settings;
  const own = { mode, owner, way, jobs, clientFolder, noOwner, compare };
  return { ...own, ...parts, source, on, name: settings.name ?? '', ttlMs: settings.ttl };
}

/** @throws CONFIG_INVALID */
export function checkSides(source: DatabaseUrl, on: DatabaseUrl): void {
  if (source.dialect === on.dialect) return;
  throw new LongshoreError('CONFIG_INVALID', `a clone of ${source.name} cannot be made on ${on.name}`, {
    hint: 'PostgreSQL is cloned onto PostgreSQL, MariaDB onto MariaDB',
  });
}
