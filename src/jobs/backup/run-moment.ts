/** The one instant of a run, in the time zone that was chosen: date, hour and key of a backup come from it alone. Pure. */

import { LongshoreError } from '../../errors.ts';

export interface RunMoment {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** As IANA names it. */
  readonly timeZone: string;
  /** `2026-11-20` */
  readonly date: string;
  /** `03:00:07` */
  readonly time: string;
}

/** @throws CONFIG_INVALID for a time zone that there is not */
export function momentOf(atMs: number, timeZone: string): RunMoment {
  const parts = new Map(
    formatOf(timeZone)
      .formatToParts(atMs)
      .map(({ type, value }) => [type, value]),
  );
  const part = (name: Intl.DateTimeFormatPartTypes): string => parts.get(name)!;
  return {
    atMs,
    timeZone,
    date: `${part('year')}-${part('month')}-${part('day')}`,
    time: `${part('hour')}:${part('minute')}:${part('second')}`,
  };
}

export function isTimeZone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/**
 * Of this machine, which containers have as UTC.
 * @throws CONFIG_INVALID where it has none by name, as with `TZ=:/etc/localtime`
 */
export function localTimeZone(): string {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions() as { readonly timeZone?: string };
  if (timeZone !== undefined) return timeZone;
  throw new LongshoreError('CONFIG_INVALID', 'this machine does not say in which time zone it is', {
    hint: 'give --time-zone UTC or Europe/Berlin, or set TZ to such a name',
  });
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-u-ca-iso8601', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `there is no time zone ${timeZone}`, {
      cause: error,
      hint: 'name it as IANA does: UTC, Europe/Berlin',
    });
  }
}
