/** How the newest attempt of a backup ended, noted in the bucket: nothing is pruned behind one that failed. */

import { z } from 'zod';
import { putNote, readNote } from './note.ts';
import { type BackupPlace, NOTES_PREFIX } from './repository.ts';

const attempt = z.object({
  /** In ISO 8601 and UTC. */
  at: z.iso.datetime(),
  ended: z.enum(['done', 'failed']),
  /** Of the backup, or why there is none. */
  what: z.string(),
});

export type Attempt = z.output<typeof attempt>;

const KEY = `${NOTES_PREFIX}last-attempt.json`;

export async function noteAttempt(place: BackupPlace, value: Attempt): Promise<void> {
  await putNote(place, KEY, value);
}

/** Undefined where there was none. @throws OBJECT_FAILED for one of another form */
export async function readLastAttempt(
  place: BackupPlace,
  signal?: AbortSignal,
): Promise<Attempt | undefined> {
  return (await readNote(place, KEY, attempt, signal))?.value;
}
