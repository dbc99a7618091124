/** What a process that died in the middle of a backup left in the bucket: its claim, and objects that no manifest names. */

import { z } from 'zod';
import { isAlive } from '../../flow/is-alive.ts';
import { processSpace } from '../../flow/process-space.ts';
import { deleteObjects, listKeys } from '../../stores/list-keys.ts';
import { manifestKey } from './manifest.ts';
import { readNote } from './note.ts';
import { type BackupPlace, NOTES_PREFIX } from './repository.ts';
import { isUploaded } from './upload-stream.ts';

/** Below the prefix; what follows is the key that is claimed, without extension. */
export const CLAIMS = `${NOTES_PREFIX}claims/`;

const holder = z.object({ space: z.string(), pid: z.number() });

/** Of processes of this machine alone: whether others are alive nobody here knows. */
export async function clearDeadClaims(place: BackupPlace, signal: AbortSignal): Promise<void> {
  const { store, prefix } = place;
  const space = await processSpace();
  for await (const key of listKeys(store, prefix + CLAIMS, signal)) {
    const note = await readNote(place, key.slice(prefix.length), holder, signal);
    if (note === undefined || note.value.space !== space) continue;
    if (note.value.pid === process.pid || isAlive(note.value.pid)) continue;
    await clearObjects(place, key.slice(prefix.length + CLAIMS.length), signal);
    await deleteObjects(store, [{ key, etag: note.etag }], signal);
  }
}

async function clearObjects(
  { store, prefix }: BackupPlace,
  base: string,
  signal: AbortSignal,
): Promise<void> {
  if ((await store.head(prefix + manifestKey(base), signal)) !== undefined) return;
  for await (const key of listKeys(store, prefix + base, signal)) {
    if (!/^[./]/.test(key.slice(prefix.length + base.length))) continue;
    const head = await store.head(key, signal);
    if (head !== undefined && isUploaded(head))
      await deleteObjects(store, [{ key, etag: head.etag }], signal);
  }
}
