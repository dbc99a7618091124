/** Runs something by a cron schedule, in the foreground: one run at a time, until it is stopped. */

import { Cron } from 'croner';
import { LongshoreError } from '../../errors.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';

export interface ScheduleOptions {
  /** Five fields, or six with seconds first: `0 3 * * *`. */
  readonly pattern: string;
  /** In which the pattern is read, as IANA names it. */
  readonly timeZone: string;
  readonly clock?: Clock | undefined;
}

/** A wait is looked at again after this time: clocks are set, and machines sleep. */
const LOOK_MS = 30_000;

/**
 * Times that pass while a run is under way are not made up for one by one: the next run is the next time from then on.
 * @param run is called at each time; what it throws ends the schedule
 * @throws CONFIG_INVALID for a pattern that means nothing or never comes; the signal's reason when stopped
 */
export async function runOnSchedule(
  { pattern, timeZone, clock = systemClock }: ScheduleOptions,
  run: () => Promise<void>,
  signal: AbortSignal,
): Promise<never> {
  const next = nextTimes(pattern, timeZone);
  for (;;) {
    const atMs = next(clock.now());
    if (atMs === undefined) throw neverComes(pattern);
    await waitUntil(atMs, clock, signal);
    await run();
  }
}

/** Also where the clock is set meanwhile. */
export async function waitUntil(atMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let leftMs = atMs - clock.now(); leftMs > 0; leftMs = atMs - clock.now())
    await clock.wait(Math.min(leftMs, LOOK_MS), signal);
  signal.throwIfAborted();
}

export function neverComes(pattern: string): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', `the schedule ${pattern} never comes again`, {
    hint: 'for example 0 3 * * * for three o’clock each night',
  });
}

/** @throws CONFIG_INVALID @returns the first time behind another one, in milliseconds since 1970 */
export function nextTimes(pattern: string, timeZone: string): (afterMs: number) => number | undefined {
  try {
    const cron = new Cron(pattern, { timezone: timeZone, paused: true });
    cron.nextRun();
    return (afterMs) => cron.nextRun(new Date(afterMs))?.getTime();
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `no schedule: ${pattern} (${timeZone})`, {
      cause: error,
      hint: 'write it as cron does, for example 0 3 * * * for three o’clock each night, and the time zone as UTC or Europe/Berlin',
    });
  }
}
