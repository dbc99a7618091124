/** The note that a clone on a server carries: who made it of what, and until when it lives. Pure. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { NotedDatabase } from '../../../databases/clone-server.ts';
import type { CloneEntry } from '../clone.ts';
import type { DatabaseRequest } from './request.ts';

const noteSchema = z.strictObject({
  v: z.literal(1),
  /** Its own, or the one that it is to get. */
  name: z.string(),
  source: z.string(),
  mode: z.enum(['clone', 'create']),
  how: z.string(),
  owner: z.string(),
  madeAt: z.iso.datetime(),
  expiresAt: z.iso.datetime().optional(),
  state: z.enum(['making', 'ready', 'pooled']),
  /** Of all that it was made of: two with the same are the same. */
  key: z.string(),
});

export type CloneNote = z.output<typeof noteSchema>;

/** Of all that decides what is in the clone. */
export function keyOf({ mode, source, changelog, masking, noOwner }: DatabaseRequest): string {
  const made = [mode, source.name, masking ?? null, noOwner];
  const hash = createHash('sha256').update(JSON.stringify(made));
  for (const { path, bytes } of changelog?.files ?? []) hash.update(JSON.stringify(path)).update(bytes);
  return hash.digest('hex').slice(0, 16);
}

export function noteText(note: CloneNote): string {
  return JSON.stringify(note);
}

/** Undefined for what this program did not write. */
export function parseNote(text: string | undefined): CloneNote | undefined {
  if (text === undefined) return undefined;
  try {
    return noteSchema.safeParse(JSON.parse(text)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Undefined for what was left behind without a note that can be read. */
export function entryOf({ name, note: text, bytes }: NotedDatabase): CloneEntry | undefined {
  const note = parseNote(text);
  if (note === undefined) return undefined;
  const { source, mode, owner, madeAt, expiresAt, state } = note;
  return {
    name: state === 'making' ? note.name : name,
    kind: 'database',
    source,
    mode,
    owner,
    state,
    madeAt,
    expiresAt,
    bytes,
    costSoFar: 0,
  };
}

export function isExpired({ expiresAt }: Pick<CloneNote, 'expiresAt'>, nowMs: number): boolean {
  return expiresAt !== undefined && Date.parse(expiresAt) <= nowMs;
}
