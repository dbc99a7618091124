/** Which backups are kept and why, which go. Pure: a pass from the newest to the oldest of each source. */

import { LongshoreError } from '../../errors.ts';
import { momentOf } from './run-moment.ts';

const NAMES = ['last', 'daily', 'weekly', 'monthly', 'yearly'] as const;

/** How many are kept of each kind: the newest ones, and the newest of so many days, ISO weeks, months, years that have one. */
export type RetentionPolicy = Readonly<Partial<Record<(typeof NAMES)[number], number>>>;

export interface Candidate {
  /** Tells two of the same instant apart. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** In which its day, week, month and year are counted, as IANA names it. */
  readonly timeZone: string;
  /** Backups of one source; each source is counted by itself. */
  readonly source: string;
  /** Whether it can be relied on; one that cannot takes the place of none that can. */
  readonly good: boolean;
}

export interface Verdict<B extends Candidate> {
  readonly backup: B;
  /** `newest good one`, `last 3`, `daily 2026-11-20`; empty for one that goes. */
  readonly reasons: readonly string[];
}

/**
 * A backup is kept for a period when no good one of the same period is newer, and good ones of fewer periods than are kept
 * are newer. So what is kept depends on what is newer and good alone: a larger policy keeps no less, and taking away what
 * goes changes nothing of what is kept. The newest good one of each source, and all that are newer, are kept whatever
 * the policy says.
 * @returns a verdict each, in the order in which they came
 */
export function plan<B extends Candidate>(backups: readonly B[], policy: RetentionPolicy): Verdict<B>[] {
  const verdicts = new Map<B, string[]>();
  const seen = new Map<string, Newer>();
  for (const backup of backups.toSorted(fromNewest)) {
    const newer = seen.get(backup.source) ?? { good: 0, periods: new Map() };
    seen.set(backup.source, newer);
    verdicts.set(backup, reasonsFor(backup, newer, policy));
    if (!backup.good) continue;
    newer.good++;
    for (const { name, label } of periodsOf(backup)) {
      newer.periods.set(name, (newer.periods.get(name) ?? new Set<string>()).add(label));
    }
  }
  return backups.map((backup) => ({ backup, reasons: verdicts.get(backup)! }));
}

/** What there is of good backups that are newer than the one that is looked at. */
interface Newer {
  good: number;
  readonly periods: Map<Period, Set<string>>;
}

type Period = Exclude<(typeof NAMES)[number], 'last'>;

function reasonsFor(backup: Candidate, { good, periods }: Newer, policy: RetentionPolicy): string[] {
  const reasons: string[] = [];
  if (good === 0) reasons.push(backup.good ? 'newest good one' : 'newer than any good one');
  if (good < (policy.last ?? 0)) reasons.push(`last ${good + 1}`);
  for (const { name, label } of periodsOf(backup)) {
    const before = periods.get(name);
    if (before?.has(label) !== true && (before?.size ?? 0) < (policy[name] ?? 0))
      reasons.push(`${name} ${label}`);
  }
  return reasons;
}

function fromNewest(one: Candidate, other: Candidate): number {
  if (one.atMs !== other.atMs) return other.atMs - one.atMs;
  return one.id < other.id ? 1 : -1;
}

function periodsOf({ atMs, timeZone }: Candidate): { readonly name: Period; readonly label: string }[] {
  const { date } = momentOf(atMs, timeZone);
  return [
    { name: 'daily', label: date },
    { name: 'weekly', label: isoWeek(date) },
    { name: 'monthly', label: date.slice(0, -3) },
    { name: 'yearly', label: date.slice(0, -6) },
  ];
}

const DAY_MS = 86_400_000;

/** `2026-11-20` → `2026-W47`: weeks begin on Monday, and belong to the year of their Thursday. */
function isoWeek(date: string): string {
  const day = Date.parse(`${date}T00:00:00Z`);
  const weekday = (new Date(day).getUTCDay() + 6) % 7;
  const thursday = new Date(day + (3 - weekday) * DAY_MS);
  const newYear = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const week = 1 + Math.floor((thursday.getTime() - newYear) / (7 * DAY_MS));
  return `${thursday.getUTCFullYear()}-W${String(week).padStart(2, '0')}`;
}

/** @param text `last=3,daily=7,weekly=4,monthly=12,yearly=2` @throws CONFIG_INVALID */
export function parseRetention(text: string): RetentionPolicy {
  const policy: Partial<Record<(typeof NAMES)[number], number>> = {};
  for (const part of text.split(',')) {
    const [, name, count] = /^\s*([a-z]+)\s*=\s*(\d{1,6})\s*$/.exec(part) ?? [];
    const known = NAMES.find((one) => one === name);
    if (known === undefined) throw invalid(text, `"${part.trim()}" says nothing of how many are kept`);
    if (policy[known] !== undefined) throw invalid(text, `${known} is there twice`);
    if (Number(count) === 0) throw invalid(text, `${known}=0 keeps nothing: leave it out`);
    policy[known] = Number(count);
  }
  return policy;
}

function invalid(text: string, why: string): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', `cannot read "${text}" as what is kept: ${why}`, {
    hint: `name ${NAMES.join(', ')}, each with a number: last=3,daily=7,weekly=4,monthly=12`,
  });
}
