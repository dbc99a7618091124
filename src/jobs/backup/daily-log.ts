/**
 * The log of backups for people: a file a day, a line an attempt, `<date>,<time>,<message>`. A line is written whole or not
 * at all, so that several processes may share a file.
 */

import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { LongshoreError, messageOf } from '../../errors.ts';
import type { RunMoment } from './run-moment.ts';

/** What is said of what went well; whatever else is the error. */
export const LOG_MESSAGES = {
  dumped: 'database dump completed',
  nothing: 'there is no file to upload',
  uploaded: 'file successfully uploaded',
} as const;

/** @throws JOURNAL_UNWRITABLE where the line cannot be written */
export async function logAttempt(folder: string, moment: RunMoment, message: string): Promise<void> {
  const path = join(folder, `${moment.date}.log`);
  try {
    await mkdir(folder, { recursive: true });
    const file = await open(path, 'a', 0o600);
    try {
      await file.write(`${moment.date},${moment.time},${oneLine(message)}\n`);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new LongshoreError('JOURNAL_UNWRITABLE', `cannot write ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'give the log another folder with --log',
    });
  }
}

function oneLine(message: string): string {
  return message.replace(/\s*[\r\n]+\s*/g, ' ').trim();
}
