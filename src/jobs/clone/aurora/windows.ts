/** The hours of a cluster's backups and maintenance, and what RDS does not take of them. All in UTC. */

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const TIME = '((?:[01]\\d|2[0-3]):[0-5]\\d)';
const DAY = `(${DAYS.join('|')})`;

/** `03:00-04:00` */
export const BACKUP_WINDOW: RegExp = new RegExp(`^${TIME}-${TIME}$`);
/** `sun:05:00-sun:06:00` */
export const MAINTENANCE_WINDOW: RegExp = new RegExp(`^${DAY}:${TIME}-${DAY}:${TIME}$`, 'i');

const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = 7 * DAY_MINUTES;
const LEAST_MINUTES = 30;

/** From when on, and for how long. */
interface Span {
  readonly from: number;
  readonly minutes: number;
}

/** @returns what RDS would refuse; of a window that is left out AWS chooses one that fits @see CreateDBCluster of the RDS API */
export function windowProblems(backup: string | undefined, maintenance: string | undefined): string[] {
  const daily = backup === undefined ? undefined : backupSpan(backup);
  const weekly = maintenance === undefined ? undefined : maintenanceSpan(maintenance);
  const problems: string[] = [];
  if (daily !== undefined && daily.minutes < LEAST_MINUTES)
    problems.push(`target_db/backup_window must be ${LEAST_MINUTES} minutes or longer`);
  if (weekly !== undefined && weekly.minutes < LEAST_MINUTES)
    problems.push(`target_db/maintenance_window must be ${LEAST_MINUTES} minutes or longer`);
  if (daily !== undefined && weekly !== undefined && overlap(daily, weekly))
    problems.push('target_db/maintenance_window must not overlap backup_window, which is every day');
  return problems;
}

/** Over midnight, too. @param text of the form of {@link BACKUP_WINDOW} */
function backupSpan(text: string): Span | undefined {
  const [, from, to] = BACKUP_WINDOW.exec(text) ?? [];
  return from === undefined || to === undefined
    ? undefined
    : span(minutesOf(from), minutesOf(to), DAY_MINUTES);
}

/** @param text of the form of {@link MAINTENANCE_WINDOW} */
function maintenanceSpan(text: string): Span | undefined {
  const [, fromDay, from, toDay, to] = MAINTENANCE_WINDOW.exec(text.toLowerCase()) ?? [];
  if (fromDay === undefined || from === undefined || toDay === undefined || to === undefined)
    return undefined;
  const at = (day: string, time: string): number => DAYS.indexOf(day) * DAY_MINUTES + minutesOf(time);
  return span(at(fromDay, from), at(toDay, to), WEEK_MINUTES);
}

const span = (from: number, to: number, all: number): Span => ({ from, minutes: (to - from + all) % all });

function minutesOf(time: string): number {
  const [hours, minutes] = time.split(':');
  return Number(hours) * 60 + Number(minutes);
}

function overlap(daily: Span, weekly: Span): boolean {
  // From the start of one to the next start of the other.
  const until = (from: number, to: number): number =>
    (((to - from) % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES;
  return until(daily.from, weekly.from) < daily.minutes || until(weekly.from, daily.from) < weekly.minutes;
}
