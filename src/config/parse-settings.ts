/** Checks the options of a job against its schema, with every problem told at once. */

import type { z } from 'zod';
import { LongshoreError } from '../errors.ts';

/**
 * @param job whose `--help` and page describe the options
 * @param contradictions between options that are right by themselves, each as a sentence
 * @returns checked, with every default filled in; frozen
 * @throws CONFIG_INVALID
 */
export function parseSettings<T extends object>(
  job: string,
  schema: z.ZodType<T>,
  options: unknown,
  contradictions: (settings: T) => readonly string[] = () => [],
): Readonly<T> {
  const parsed = schema.safeParse(options);
  const problems = parsed.success
    ? contradictions(parsed.data)
    : parsed.error.issues.map((issue) => {
        const path = issue.path.join('.');
        return path === '' ? issue.message : `${path}: ${issue.message}`;
      });
  if (parsed.success && problems.length === 0) return Object.freeze(parsed.data);
  throw new LongshoreError('CONFIG_INVALID', `cannot use these settings: ${problems.join('; ')}`, {
    hint: `\`longshore ${job} --help\` and docs/${job}.md describe every setting`,
  });
}
