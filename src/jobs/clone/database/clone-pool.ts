/**
 * A pool of clones that are ready before anyone asks: copies of a template, which is made once of whatever the clones are
 * made of. Handing one out is renaming it. Of PostgreSQL.
 */

import {
  type CloneServer,
  checkDatabaseName,
  openCloneServer,
  RESERVED,
} from '../../../databases/clone-server.ts';
import { LongshoreError } from '../../../errors.ts';
import { monotonicMs } from '../../../flow/clock.ts';
import { noFailpoint } from '../../../flow/failpoint.ts';
import type { ConvergedClone } from '../clone.ts';
import { stopAtProblems } from '../finding.ts';
import { type CloneEnvironment, cloneEnvironment } from '../settings.ts';
import { keyOf, noteText } from './clone-note.ts';
import { make, makeNote, result } from './converge-database.ts';
import { planDatabase } from './plan-database.ts';
import type { DatabaseRequest } from './request.ts';

/** Milliseconds that what nobody takes is kept. */
const POOLED_TTL_MS = 7 * 24 * 3_600_000;

/** Of the pool of what has that key. */
export const templateOf = (key: string): string => `${RESERVED}template_${key}`;
const memberPrefix = (key: string): string => `${RESERVED}pool_${key}_`;

/**
 * Makes the template where there is none yet, and copies until so many are ready.
 * @returns how many were made
 * @throws CHECK_FAILED for a server that does not rename databases; as converging does
 */
export async function fillPool(
  request: DatabaseRequest,
  size: number,
  given: Partial<CloneEnvironment> = {},
): Promise<number> {
  const environment = cloneEnvironment(given);
  const { clock, signal = new AbortController().signal } = environment;
  await using server = await openCloneServer(request.on);
  checkRenames(server);
  const key = keyOf(request);
  const template = { ...request, name: templateOf(key), ttlMs: POOLED_TTL_MS };
  await using _ = await server.lock(server.workingName(template.name), signal);
  if (!(await server.exists(template.name))) {
    // Its own name is reserved, and nobody else's.
    const plan = await planDatabase(
      { ...template, name: `template_${key}` },
      server,
      environment.env,
      signal,
    );
    stopAtProblems({ ...plan, name: template.name });
    const note = { ...makeNote(template, plan.how, clock.now()), state: 'pooled' as const };
    await make(template, plan, server, note, environment);
  }
  const there = new Set(await server.names(memberPrefix(key)));
  let made = 0;
  for (let n = 0; there.size < size; n++) {
    const name = `${memberPrefix(key)}${n}`;
    if (there.has(name)) continue;
    signal.throwIfAborted();
    await addMember(server, { ...template, name }, { ...environment, signal });
    there.add(name);
    made++;
  }
  return made;
}

/** @throws CHECK_FAILED for a server that does not rename databases */
function checkRenames({ server: { product } }: CloneServer): void {
  if (product === 'PostgreSQL') return;
  throw new LongshoreError('CHECK_FAILED', `${product} has no pool of clones`, {
    hint: 'it needs databases that can be renamed, which PostgreSQL has',
  });
}

async function addMember(
  server: CloneServer,
  member: DatabaseRequest,
  { clock, failpoint = noFailpoint, signal }: CloneEnvironment & { readonly signal: AbortSignal },
): Promise<void> {
  const working = server.workingName(member.name);
  // So that nobody takes it for one that was left behind.
  await using _ = await server.lock(working, signal);
  const source = templateOf(keyOf(member));
  const note = makeNote(member, 'pool', clock.now());
  await server.drop(working);
  const copied = await server.copy(source, working, noteText(note));
  failpoint('member-copied');
  if (copied === undefined)
    throw new LongshoreError('DATABASE_CONFLICT', `somebody is connected to ${source}`, {
      hint: 'nobody should: it is what the clones of a pool are copied from',
    });
  const shape = await server.shapeOf(source);
  await server.publish(working, member.name, noteText({ ...note, state: 'pooled' }), shape);
}

/**
 * Hands one out, under the name that is asked for.
 * @returns undefined where none is ready, or a database of that name is there
 * @throws CONFIG_INVALID, CHECK_FAILED where there can be no pool, before anything is made
 */
export async function takeFromPool(
  request: DatabaseRequest,
  given: Partial<CloneEnvironment> = {},
): Promise<ConvergedClone | undefined> {
  const { clock } = cloneEnvironment(given);
  checkDatabaseName(request.name);
  const beganMs = monotonicMs(clock);
  await using server = await openCloneServer(request.on);
  checkRenames(server);
  if (await server.exists(request.name)) return undefined;
  const handed = { ...makeNote(request, 'pool', clock.now()), state: 'ready' as const };
  for (const name of await server.names(memberPrefix(handed.key))) {
    // Whoever is faster has it.
    if (await server.rename(name, request.name, noteText(handed)))
      return result(request, handed, false, Math.round(monotonicMs(clock) - beganMs));
  }
  return undefined;
}
