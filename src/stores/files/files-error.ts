/** Turns a file system's error into a LongshoreError. */

import { type ErrorCode, LongshoreError, messageOf } from '../../errors.ts';

export function filesError(error: unknown, doing: string, store: string): LongshoreError {
  if (error instanceof LongshoreError) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  const { as, hint } = KNOWN[code] ?? { as: 'OBJECT_FAILED', hint: undefined };
  return new LongshoreError(as, `Cannot ${doing} in ${store}: ${messageOf(error)}`, { cause: error, hint });
}

const KNOWN: Readonly<Record<string, { as: ErrorCode; hint: string | undefined }>> = {
  EACCES: { as: 'STORE_DENIED', hint: 'give this user the right to read and write the folder' },
  EPERM: { as: 'STORE_DENIED', hint: 'give this user the right to read and write the folder' },
  ENOENT: { as: 'BUCKET_NOT_FOUND', hint: 'make the folder, or correct its name' },
  ENOSPC: { as: 'STORE_UNSUPPORTED', hint: 'the disk is full: make room and run the same command again' },
  EDQUOT: { as: 'STORE_UNSUPPORTED', hint: 'the quota is used up: make room and run the same command again' },
  EMFILE: { as: 'STORE_SLOW_DOWN', hint: undefined },
};
