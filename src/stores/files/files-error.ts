/** Turns a file system's error into a LongshoreError. */

import { type ErrorCode, LongshoreError, messageOf } from '../../errors.ts';

/** @param doing what was tried, as in "write a.png"; an error that has a code already, and the reason of an abort, stay as they are */
export function filesError(error: unknown, doing: string, store: string): unknown {
  const code = errnoOf(error);
  if (code === undefined) return error;
  const { as, hint } = KNOWN[code] ?? { as: 'OBJECT_FAILED', hint: undefined };
  return new LongshoreError(as, `Cannot ${doing} in ${store}: ${messageOf(error)}`, { cause: error, hint });
}

/** `ENOENT`, `EEXIST`, …; undefined for an error that is not the file system's. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof LongshoreError) return undefined;
  const { code, syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined ? undefined : code;
}

const RIGHTS = 'give this user the right to read and write the folder';
const KNOWN: Readonly<Record<string, { as: ErrorCode; hint: string | undefined }>> = {
  EACCES: { as: 'STORE_DENIED', hint: RIGHTS },
  EPERM: { as: 'STORE_DENIED', hint: RIGHTS },
  EROFS: { as: 'STORE_DENIED', hint: 'the file system is mounted read-only' },
  ENOENT: { as: 'BUCKET_NOT_FOUND', hint: 'make the folder, or correct its name' },
  ENOSPC: { as: 'STORE_UNSUPPORTED', hint: 'the disk is full: make room and run the same command again' },
  EDQUOT: { as: 'STORE_UNSUPPORTED', hint: 'the quota is used up: make room and run the same command again' },
  EMFILE: { as: 'STORE_SLOW_DOWN', hint: undefined },
  ENFILE: { as: 'STORE_SLOW_DOWN', hint: undefined },
  ENOTDIR: {
    as: 'OBJECT_FAILED',
    hint: 'a file stands where the key needs a folder: map it to another key by a rule, or exclude it',
  },
  EISDIR: {
    as: 'OBJECT_FAILED',
    hint: 'a folder stands where the key needs a file: map it to another key by a rule, or exclude it',
  },
  ENAMETOOLONG: {
    as: 'OBJECT_FAILED',
    hint: 'a part of the key is longer than a file name may be: map it to another key by a rule',
  },
};
