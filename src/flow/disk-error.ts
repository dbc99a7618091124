/** What the disk of temporary files throws, as an error that says what to do. */

import { LongshoreError, messageOf } from '../errors.ts';

/** @param action a verb with its object: `write` */
export function diskError(error: unknown, action: string, path: string): LongshoreError {
  if (error instanceof LongshoreError) return error;
  return new LongshoreError('JOURNAL_UNWRITABLE', `cannot ${action} ${path}: ${messageOf(error)}`, {
    cause: error,
    hint: 'make room on that disk, or name a folder on another one with TMPDIR, and run the same command again',
  });
}
