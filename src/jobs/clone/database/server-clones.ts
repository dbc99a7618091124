/** The clones of a server: which there are, which have expired, and dropping them. What Longshore did not make is not touched. */

import type { DatabaseUrl } from '../../../config/database-url.ts';
import {
  type CloneServer,
  type NotedDatabase,
  openCloneServer,
  placeOf,
} from '../../../databases/clone-server.ts';
import { LongshoreError } from '../../../errors.ts';
import { systemClock } from '../../../flow/clock.ts';
import type { CloneEntry } from '../clone.ts';
import type { CloneEnvironment } from '../settings.ts';
import { entryOf, isExpired, parseNote } from './clone-note.ts';

export async function listServerClones(on: DatabaseUrl): Promise<CloneEntry[]> {
  await using server = await openCloneServer(on);
  return (await server.noted()).flatMap((database) => entryOf(database) ?? []);
}

export interface Swept {
  readonly name: string;
  /** `expired`, or `left behind` by a process that is gone. */
  readonly why: 'expired' | 'left behind';
}

/**
 * Drops the clones that have expired, and what processes that are gone did not finish.
 * @param plan whether nothing is dropped
 */
export async function sweepServerClones(
  on: DatabaseUrl,
  { plan = false }: { readonly plan?: boolean | undefined },
  { clock = systemClock }: Partial<CloneEnvironment> = {},
): Promise<Swept[]> {
  await using server = await openCloneServer(on);
  const swept: Swept[] = [];
  for (const database of await server.noted()) {
    const why = await reasonToGo(server, database, clock.now());
    if (why === undefined) continue;
    const name = parseNote(database.note)?.name ?? database.name;
    // One may have been in the making under two names.
    if (!swept.some((one) => one.name === name)) swept.push({ name, why });
    if (!plan) await server.drop(database.name);
  }
  return swept;
}

async function reasonToGo(
  server: CloneServer,
  { name, note: text }: NotedDatabase,
  nowMs: number,
): Promise<Swept['why'] | undefined> {
  const note = parseNote(text);
  // Another program's comment may begin as ours do.
  if (text !== undefined && note === undefined) return undefined;
  if (note !== undefined && note.state !== 'making') return isExpired(note, nowMs) ? 'expired' : undefined;
  const lock = await server.tryLock(note === undefined ? name : server.workingName(note.name));
  await lock?.[Symbol.asyncDispose]();
  return lock === undefined ? undefined : 'left behind';
}

/** @throws CHECK_FAILED for a database that is no clone, or is none at all */
export async function dropServerClone(on: DatabaseUrl, name: string): Promise<void> {
  await using server = await openCloneServer(on);
  const found = (await server.noted()).filter((database) => parseNote(database.note)?.name === name);
  for (const database of found) await server.drop(database.name);
  if (found.length > 0) return;
  throw new LongshoreError('CHECK_FAILED', `${placeOf(on, name)} is no clone of Longshore`, {
    hint: '`longshore clone list` names those that are',
  });
}
