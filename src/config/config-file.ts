/**
 * `longshore.yaml`: jobs by kind and name, `${VARIABLE}` taken from the environment.
 *
 * ```yaml
 * move:
 *   avatars:
 *     from: s3://legacy-s3/image/
 *     to: s3://production-s3/avatar/
 *     rows: postgres://longshore:${DB_PASSWD}@db/proddatabase#avatars.path
 * ```
 */

import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { LongshoreError } from '../errors.ts';
import { readYaml } from './read-yaml.ts';

export const CONFIG_FILE = 'longshore.yaml';

/** The kinds of jobs that a file may hold; each job checks its own settings. */
const fileSchema = z.strictObject({
  move: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  replicate: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  backup: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  clone: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
});

export type JobKind = keyof z.output<typeof fileSchema>;

/**
 * The settings of one job of the file.
 * @param name may be left out when there is only one job of that kind
 * @returns undefined when there is no file and no name was asked for
 * @throws CONFIG_INVALID
 */
export function readJob(
  path: string,
  kind: JobKind,
  name: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, unknown> | undefined {
  if (!existsSync(path)) {
    if (name === undefined && path === CONFIG_FILE) return undefined;
    const what = name === undefined ? '' : ` to read the job "${name}" from`;
    throw new LongshoreError('CONFIG_INVALID', `there is no ${path}${what}`, {
      hint: '`longshore init` writes one; or describe the job by flags alone',
    });
  }
  const jobs = parseConfig(readFileSync(path, 'utf8'), path)[kind] ?? {};
  const names = Object.keys(jobs);
  const chosen = name ?? (names.length === 1 ? names[0] : undefined);
  if (chosen === undefined && names.length === 0) return undefined;
  const job = chosen === undefined ? undefined : jobs[chosen];
  if (job === undefined) {
    throw new LongshoreError('CONFIG_INVALID', `${path} has ${describeNames(kind, names, name)}`, {
      hint: `name one of them: longshore ${kind} ${names[0] ?? '<name>'}`,
    });
  }
  return interpolate(job, env, path) as Record<string, unknown>;
}

/**
 * Whether the file, where there is one, has such a job.
 * @throws CONFIG_INVALID
 */
export function hasJob(path: string, kind: JobKind, name: string): boolean {
  if (!existsSync(path)) return false;
  return Object.hasOwn(parseConfig(readFileSync(path, 'utf8'), path)[kind] ?? {}, name);
}

function describeNames(kind: string, names: readonly string[], name: string | undefined): string {
  if (name !== undefined) return `no ${kind} job "${name}"`;
  return `${names.length} ${kind} jobs: ${names.join(', ')}`;
}

/** @throws CONFIG_INVALID, with every problem by its path */
export function parseConfig(text: string, path: string): z.output<typeof fileSchema> {
  const document = readYaml(text, path);
  const parsed = fileSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`,
  );
  throw new LongshoreError('CONFIG_INVALID', `cannot use ${path}: ${problems.join('; ')}`, {
    hint: 'longshore.schema.json describes the file',
  });
}

/** Replaces `${NAME}` in every string. @throws CONFIG_INVALID for a variable that is not set */
function interpolate(
  value: unknown,
  env: Readonly<Record<string, string | undefined>>,
  path: string,
): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => {
      const found = env[name];
      if (found !== undefined) return found;
      throw new LongshoreError('CONFIG_INVALID', `${path} uses \${${name}}, which is not set`, {
        hint: `export ${name} before running Longshore`,
      });
    });
  }
  if (Array.isArray(value)) return value.map((item) => interpolate(item, env, path));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, interpolate(item, env, path)]),
    );
  }
  return value;
}
