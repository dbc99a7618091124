/**
 * Runs a backup by a schedule that several hosts may have: each time is run by one of them, and one that passed while none
 * was there is made up for, once.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { LongshoreError, messageOf } from '../../errors.ts';
import { type Clock, monotonicMs, systemClock } from '../../flow/clock.ts';
import { processSpace } from '../../flow/process-space.ts';
import { neverComes, nextTimes, waitUntil } from './on-schedule.ts';
import { type BackupPlace, NOTES_PREFIX } from './repository.ts';
import {
  HeldSlot,
  type Holder,
  isAbandoned,
  readMemory,
  type ScheduleMemory,
  STALE_MS,
  scheduleKey,
} from './schedule-slot.ts';

export interface ScheduledOptions {
  /** Five fields, or six with seconds first: `0 3 * * *`. */
  readonly pattern: string;
  /** In which the pattern is read, as IANA names it. */
  readonly timeZone: string;
  /** Up to this long is waited before a time is taken. */
  readonly jitterMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** From 0 to 1. */
  readonly random?: (() => number) | undefined;
  /** Where the backups go; it is there. */
  readonly place: BackupPlace;
  /** What is backed up, without password: hosts with the same source share a schedule. */
  readonly source: string;
  /** What is no failure of the schedule and should be known. */
  readonly notice: (text: string) => void;
  /** This host and process, where they are not those that the system says. */
  readonly holder?: Omit<Holder, 'id'> | undefined;
}

/** How often a run of another host is looked at, and a store that cannot be reached is tried again. */
const LOOK_MS = 15_000;

/**
 * A run that fails is told and noted, and the schedule goes on. Times that pass while a run is under way are not made up
 * for. A process that is stopped in the middle of a run leaves it to whoever comes next.
 * @param run is called at each time that is this host's; its signal is aborted where another host has taken over
 * @throws CONFIG_INVALID for a pattern that means nothing or never comes; the errors of the store where it does not
 * answer at the start; the signal's reason when stopped
 */
export async function runScheduled(
  options: ScheduledOptions,
  run: (slotMs: number, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<never> {
  const {
    pattern,
    timeZone,
    jitterMs = 0,
    clock = systemClock,
    random = Math.random,
    place,
    notice,
  } = options;
  const startMs = clock.now();
  const next = nextTimes(pattern, timeZone);
  const key = scheduleKey(options.source);
  await readMemory(place, key, signal);
  const { conditionalPut } = await place.store.capabilities(place.prefix + NOTES_PREFIX, signal);
  if (!conditionalPut)
    notice('this store puts no object on a condition: let one host alone have this schedule');
  const turn: Turn = {
    ...{ place, key, clock, notice, run, signal, coveredMs: startMs },
    newest: (afterMs) => newestTime(next, afterMs, clock.now()),
    mine: { ...(options.holder ?? (await thisProcess())), id: randomUUID() },
  };
  for (let waitedForMs: number | undefined; ; ) {
    try {
      await settle(turn, waitedForMs);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof LongshoreError)) throw error;
      notice(`the schedule cannot be looked at, and is tried again: ${messageOf(error)}`);
      await clock.wait(LOOK_MS, signal);
      continue;
    }
    waitedForMs = next(Math.max(turn.coveredMs, clock.now()));
    if (waitedForMs === undefined) throw neverComes(pattern);
    await waitUntil(waitedForMs, clock, signal);
    if (jitterMs > 0) await clock.wait(random() * jitterMs, signal);
  }
}

async function thisProcess(): Promise<Omit<Holder, 'id'>> {
  return { host: hostname(), pid: process.pid, space: await processSpace() };
}

interface Turn {
  readonly place: BackupPlace;
  readonly key: string;
  readonly clock: Clock;
  readonly notice: (text: string) => void;
  readonly run: (slotMs: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  readonly mine: Holder;
  /** The newest time behind that one which has come. */
  newest(afterMs: number): number | undefined;
  /** Up to here nothing is left to run: what the memory says, or the start where there is none. */
  coveredMs: number;
}

/** Ends when all times that have come are run, by whomever. */
async function settle(turn: Turn, waitedForMs: number | undefined): Promise<void> {
  const { place, key, clock, signal, mine, notice } = turn;
  let watched: { readonly id: string; readonly etag: string; readonly sinceMs: number } | undefined;
  let told = false;
  for (;;) {
    const found = await readMemory(place, key, signal);
    if (found !== undefined) turn.coveredMs = Date.parse(found.value.slot);
    const running = found?.value.state === 'running' ? found.value : undefined;
    if (running !== undefined && !isAbandoned(running, mine)) {
      if (watched?.id !== running.id) notice(`${said(running)} on ${running.host}, and left to it`);
      if (watched?.etag !== found!.etag)
        watched = { id: running.id, etag: found!.etag, sinceMs: monotonicMs(clock) };
      if (monotonicMs(clock) - watched.sinceMs < STALE_MS) {
        told = true;
        await clock.wait(LOOK_MS, signal);
        continue;
      }
    }
    if (running !== undefined && running.id !== mine.id)
      notice(`${said(running)} on ${running.host}, which is gone: it is taken over`);
    // A run that was broken off is made again, or the one that has come since.
    const slotMs = turn.newest(turn.coveredMs) ?? (running === undefined ? undefined : turn.coveredMs);
    if (slotMs === undefined) {
      const isOthers = found !== undefined && found.value.id !== mine.id;
      if (isOthers && !told && waitedForMs !== undefined && turn.coveredMs >= waitedForMs)
        notice(`${said(found.value)} on ${found.value.host}`);
      return;
    }
    const held = await HeldSlot.take({ place, key, clock }, slotMs, mine, found?.etag, signal);
    if (held !== undefined) await runHeld(turn, held, slotMs);
  }
}

const STATES = { running: 'is under way', done: 'was made', failed: 'failed' } as const;

function said({ slot, state }: ScheduleMemory): string {
  return `the backup of ${slot} ${STATES[state]}`;
}

async function runHeld(turn: Turn, held: HeldSlot, slotMs: number): Promise<void> {
  const { run, signal, notice } = turn;
  const lost = new AbortController();
  const ended = new AbortController();
  const renewing = held.renewUntil(AbortSignal.any([signal, ended.signal])).then((isLost) => {
    if (isLost) lost.abort(new Error('the schedule was taken over by another host'));
  });
  let state: 'done' | 'failed' = 'done';
  try {
    await run(slotMs, AbortSignal.any([signal, lost.signal]));
  } catch (error) {
    signal.throwIfAborted();
    state = 'failed';
    notice(messageOf(error));
  } finally {
    ended.abort();
    await renewing;
  }
  const coveredMs = turn.newest(slotMs) ?? slotMs;
  // Also where it is stopped at this moment: what was done is not to be done again.
  if (!lost.signal.aborted && (await held.finish(coveredMs, state, new AbortController().signal))) return;
  notice('another host took the schedule over before the backup ended');
}

const WINDOW_MS = 60_000;

/** The newest time in (after, until]; it is looked for from the end, in a window that grows until one is in it. */
export function newestTime(
  next: (afterMs: number) => number | undefined,
  afterMs: number,
  untilMs: number,
): number | undefined {
  const from = (startMs: number): number | undefined => {
    const foundMs = next(startMs);
    return foundMs === undefined || foundMs > untilMs ? undefined : foundMs;
  };
  if (from(afterMs) === undefined) return undefined;
  let newestMs: number | undefined;
  for (let windowMs = WINDOW_MS; newestMs === undefined; windowMs *= 2)
    newestMs = from(Math.max(afterMs, untilMs - windowMs));
  for (let laterMs = from(newestMs); laterMs !== undefined; laterMs = from(newestMs)) newestMs = laterMs;
  return newestMs;
}
