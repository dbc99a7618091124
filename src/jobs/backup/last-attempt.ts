/** How the newest attempt of a backup ended, noted in the bucket: nothing is pruned behind one that failed. */

import { z } from 'zod';
import { type BackupPlace, NOTES_PREFIX, readObject } from './repository.ts';

const attempt = z.object({
  /** In ISO 8601 and UTC. */
  at: z.iso.datetime(),
  ended: z.enum(['done', 'failed']),
  /** Of the backup, or why there is none. */
  what: z.string(),
});

export type Attempt = z.output<typeof attempt>;

const KEY = `${NOTES_PREFIX}last-attempt.json`;

export async function noteAttempt({ store, prefix }: BackupPlace, value: Attempt): Promise<void> {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  const attributes = { contentType: 'application/json', metadata: {} };
  await store.put({ key: prefix + KEY, body, sizeBytes: body.byteLength, attributes, ifAbsent: false });
}

/** Undefined where there was none. */
export async function readLastAttempt(
  place: BackupPlace,
  signal?: AbortSignal,
): Promise<Attempt | undefined> {
  const object = await readObject(place, KEY, signal);
  return object === undefined ? undefined : attempt.parse(JSON.parse(object.body.toString('utf8')));
}
