/**
 * Makes a clone on a PostgreSQL or MariaDB server. It is made under a name that nobody looks for, masked, compared, and
 * only then published under its own; one that fails on the way is dropped.
 *
 * What a crash leaves: a database under its working name, whose lock is free. The same call drops it and begins anew; so
 * does `sweep`.
 */

import { type CloneServer, openCloneServer } from '../../../databases/clone-server.ts';
import { withDatabase } from '../../../databases/make-database.ts';
import { LongshoreError, messageOf } from '../../../errors.ts';
import { monotonicMs } from '../../../flow/clock.ts';
import { noFailpoint } from '../../../flow/failpoint.ts';
import type { ConvergedClone } from '../clone.ts';
import type { EmitClone } from '../events.ts';
import { stopAtProblems } from '../finding.ts';
import { type CloneEnvironment, cloneEnvironment, expiryOf } from '../settings.ts';
import { type CloneNote, isExpired, keyOf, noteText, parseNote } from './clone-note.ts';
import { fill, type Working } from './fill-database.ts';
import { type DatabasePlan, madeOfSomethingElse, planDatabase } from './plan-database.ts';
import type { DatabaseRequest } from './request.ts';

/**
 * @returns the clone that is there already, where it was made of the same
 * @throws CHECK_FAILED with what the plan found, before anything is made; the errors of the databases
 */
export async function convergeDatabase(
  request: DatabaseRequest,
  given: Partial<CloneEnvironment> = {},
): Promise<ConvergedClone> {
  const environment = cloneEnvironment(given);
  const { clock, signal = new AbortController().signal } = environment;
  const { name, on } = request;
  const beganMs = monotonicMs(clock);
  await using server = await openCloneServer(on);
  const working = server.workingName(name);
  await using _ = await server.lock(working, signal);
  const there = parseNote((await server.noted()).find((database) => database.name === name)?.note);
  const isOver = there !== undefined && isExpired(there, clock.now());
  if (there?.state === 'ready' && !isOver) return existing(request, there, monotonicMs(clock) - beganMs);
  // The next sweep would take it from whoever asked.
  if (there?.state === 'ready') await server.drop(name);
  const plan = await planDatabase(request, server, environment.env, signal);
  stopAtProblems(plan);
  const note = makeNote(request, plan.how, clock.now());
  const how = await make(request, plan, server, note, environment);
  return result(request, { ...note, how }, false, Math.round(monotonicMs(clock) - beganMs));
}

/** Makes, masks, compares and publishes one. @returns how it was made */
export async function make(
  request: DatabaseRequest,
  plan: DatabasePlan,
  server: CloneServer,
  note: CloneNote,
  environment: CloneEnvironment,
): Promise<string> {
  const { emit, failpoint = noFailpoint } = environment;
  const working = server.workingName(request.name);
  const isMasked = request.mode === 'clone' && request.masking !== undefined;
  const hidden = isMasked ? server.hiddenName(request.name) : undefined;
  const names = hidden === undefined ? [working] : [working, hidden];
  // Of one that was killed.
  for (const name of names) await server.drop(name);
  try {
    const place = { server, working, note: noteText({ ...note, state: 'making' }) };
    const how =
      hidden === undefined
        ? await fill(request, plan, place, environment)
        : await fillByHidden(request, plan, place, hidden, environment);
    failpoint('filled');
    const like = request.noOwner ? undefined : plan.shape;
    const ready = noteText({ ...note, how, state: note.state === 'making' ? 'ready' : note.state });
    const missing = await server.publish(working, request.name, ready, like);
    failpoint('published');
    for (const text of missing) emit({ type: 'notice', text: `it does not have the ${text}` });
    return how;
  } catch (error) {
    // Whatever went wrong, nobody gets to see what is not whole.
    await dropLeft(server, names, emit);
    throw underItsName(error, names, request.name);
  }
}

/** Working names say nothing to whoever asked for a clone, and what had them is dropped. */
function underItsName(error: unknown, working: readonly string[], name: string): unknown {
  if (!(error instanceof LongshoreError) || !working.some((one) => error.message.includes(one))) return error;
  const message = working.reduce((text, one) => text.replaceAll(one, name), error.message);
  return new LongshoreError(error.code, message, {
    hint: error.hint,
    context: error.context,
    cause: error.cause,
  });
}

/** Masked under a name that nobody has a grant for; then what is left is copied to the name that others know. */
async function fillByHidden(
  request: DatabaseRequest,
  plan: DatabasePlan,
  place: Working,
  hidden: string,
  environment: CloneEnvironment,
): Promise<string> {
  const how = await fill(request, plan, { ...place, working: hidden }, environment);
  const masked = { ...request, source: withDatabase(request.on, hidden), masking: undefined };
  await fill(masked, { ...plan, way: 'dump' }, place, environment);
  await place.server.drop(hidden);
  return how;
}

/** What made it fail is what is thrown, also where the server is gone. */
async function dropLeft(server: CloneServer, names: readonly string[], emit: EmitClone): Promise<void> {
  for (const name of names) {
    try {
      await server.drop(name);
    } catch (error) {
      emit({
        type: 'notice',
        text: `${name} is left behind, which \`longshore clone sweep\` drops: ${messageOf(error)}`,
      });
    }
  }
}

/** Of one that is being made. */
export function makeNote(request: DatabaseRequest, how: string, nowMs: number): CloneNote {
  const { name, source, mode, owner, ttlMs } = request;
  const expiresAt = expiryOf(ttlMs, nowMs);
  return {
    v: 1,
    name,
    source: source.name,
    mode,
    how,
    owner,
    madeAt: new Date(nowMs).toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    state: 'making',
    key: keyOf(request),
  };
}

/** @throws CHECK_FAILED where it was made of something else */
function existing(request: DatabaseRequest, note: CloneNote, tookMs: number): ConvergedClone {
  const { name } = request;
  if (note.key !== keyOf(request)) stopAtProblems({ name, findings: [madeOfSomethingElse(request, note)] });
  return result(request, note, true, Math.round(tookMs));
}

export function result(
  { on, name, mode }: DatabaseRequest,
  { how, owner, expiresAt }: Pick<CloneNote, 'how' | 'owner' | 'expiresAt'>,
  existed: boolean,
  tookMs: number,
): ConvergedClone {
  const url = withDatabase(on, name);
  const { host, port } = url.connection;
  return {
    mode,
    name,
    how,
    existed,
    host,
    port,
    database: name,
    url: url.name,
    stackName: undefined,
    owner,
    expiresAt,
    tookMs,
  };
}
