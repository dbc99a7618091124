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
import { type CloneNote, entryOf, isExpired, parseNote } from './clone-note.ts';
import { templateOf } from './clone-pool.ts';

export async function listServerClones(on: DatabaseUrl): Promise<CloneEntry[]> {
  await using server = await openCloneServer(on);
  return (await server.noted()).flatMap((database) => entryOf(database) ?? []);
}

export interface Swept {
  readonly name: string;
  /** `expired`, or `left behind` by a process that is gone. */
  readonly why: 'expired' | 'left behind';
  /** Why it is still there; undefined where it is gone. */
  readonly failed?: string | undefined;
}

/**
 * Drops the clones that have expired, and what processes that are gone did not finish. One that cannot be dropped is told,
 * and the others go all the same.
 * @param plan whether nothing is dropped
 */
export async function sweepServerClones(
  on: DatabaseUrl,
  { plan = false }: { readonly plan?: boolean | undefined },
  { clock = systemClock, signal }: Partial<CloneEnvironment> = {},
): Promise<Swept[]> {
  await using server = await openCloneServer(on);
  const swept: Swept[] = [];
  for (const database of await server.noted()) {
    signal?.throwIfAborted();
    if (reasonToGo(database, clock.now()) === undefined) continue;
    const { name, note } = database;
    await using lock = await server.tryLock(lockedAs(server, name, parseNote(note)));
    if (lock === undefined) continue;
    // Whoever had the lock before may have changed it.
    const found = (await server.noted()).find((other) => other.name === name);
    const why = found === undefined ? undefined : reasonToGo(found, clock.now());
    if (why === undefined) continue;
    const entry = { name: entryOf(found!)?.name ?? name, why };
    // One may have been in the making under two names.
    if (plan && swept.some((one) => one.name === entry.name)) continue;
    const failed = plan ? {} : await failureOf(() => server.drop(name));
    if (!swept.some((one) => one.name === entry.name)) swept.push({ ...entry, ...failed });
  }
  return swept;
}

/** Under which name whoever makes it, or drops it, holds its lock. */
function lockedAs(server: CloneServer, name: string, note: CloneNote | undefined): string {
  if (note === undefined) return name;
  return server.workingName(note.state === 'making' ? note.name : name);
}

function reasonToGo({ note: text }: NotedDatabase, nowMs: number): Swept['why'] | undefined {
  const note = parseNote(text);
  // Another program's comment may begin as ours do.
  if (text !== undefined && note === undefined) return undefined;
  if (note === undefined || note.state === 'making') return 'left behind';
  return isExpired(note, nowMs) ? 'expired' : undefined;
}

async function failureOf(work: () => Promise<void>): Promise<Pick<Swept, 'failed'>> {
  try {
    await work();
    return {};
  } catch (error) {
    if (error instanceof LongshoreError) return { failed: error.message };
    throw error;
  }
}

/**
 * With the template of a pool goes what is ready in it: the next one shall be a copy of what the source is then.
 * @throws CHECK_FAILED for a database that is no clone, or is none at all
 */
export async function dropServerClone(on: DatabaseUrl, name: string): Promise<void> {
  await using server = await openCloneServer(on);
  const noted = await server.noted();
  const found = noted.filter((database) => entryOf(database)?.name === name);
  const members = noted.filter(({ name: member, note: text }) => {
    const note = parseNote(text);
    return note?.state === 'pooled' && member !== name && templateOf(note.key) === name;
  });
  // The template last: killed in between, the same call goes on.
  for (const database of [...members, ...found]) await server.drop(database.name);
  if (found.length > 0) return;
  throw new LongshoreError('CHECK_FAILED', `${placeOf(on, name)} is no clone of Longshore`, {
    hint: `\`longshore clone list --on ${placeOf(on, on.connection.database)}\` names those that are`,
  });
}
