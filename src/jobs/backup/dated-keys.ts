/**
 * Keys of backups: folders by date, and in each a number that counts up: `2026-11-20/datadump2.sql`. What was taken is
 * read from the bucket's own listing, so that any machine finds the next number. Pure.
 */

import { LongshoreError } from '../../errors.ts';
import { NOTES_PREFIX } from './repository.ts';
import type { RunMoment } from './run-moment.ts';

/** `{date}`, `{time}` and `{index}` stand for those of the run; `{index}` comes once, in the last part of the key. */
export const DEFAULT_TEMPLATE = '{date}/datadump{index}';

export interface KeyTemplate {
  /** Everything that comes before the index, for a run at that moment. */
  before(moment: RunMoment): string;
  /** Behind the index, with the extension. */
  after(moment: RunMoment, extension: string): string;
}

const FIELDS = ['date', 'time', 'index'];

/** @throws CONFIG_INVALID for one that does not tell two backups apart */
export function parseTemplate(template: string): KeyTemplate {
  const unknown = [...template.matchAll(/\{([^}]*)\}/g)]
    .map((match) => match[1]!)
    .find((name) => !FIELDS.includes(name));
  if (unknown !== undefined) throw invalid(template, `{${unknown}} means nothing`);
  const [before, after, ...more] = template.split('{index}');
  if (after === undefined || more.length > 0) throw invalid(template, '{index} has to come once');
  if (after.includes('/')) throw invalid(template, '{index} has to be in the last part');
  if (template.startsWith('/') || template.includes('//')) throw invalid(template, 'a part of it is empty');
  if (/^(?:\d|\{date\}|\{time\})/.test(after))
    throw invalid(template, 'digits right behind {index} read as its own');
  if (template.split('/').some((part) => part === '.' || part === '..'))
    throw invalid(template, 'it leaves its folder');
  if (template.startsWith(NOTES_PREFIX))
    throw invalid(template, `${NOTES_PREFIX} is for what Longshore notes`);
  const fill = (text: string, { date, time }: RunMoment): string =>
    text.replaceAll('{date}', date).replaceAll('{time}', time.replaceAll(':', ''));
  return {
    before: (moment) => fill(before!, moment),
    after: (moment, extension) => fill(after, moment) + extension,
  };
}

function invalid(template: string, why: string): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', `no key template: ${template}: ${why}`, {
    hint: `for example ${DEFAULT_TEMPLATE}`,
  });
}

/** The key of a backup with that index, below the prefix of the job. */
export function keyOf(template: KeyTemplate, moment: RunMoment, index: number, extension: string): string {
  return `${template.before(moment)}${index}${template.after(moment, extension)}`;
}

/**
 * The index behind the highest one of that day, as a number: 10 comes after 9. A dump has its index whatever its extension:
 * `datadump3.sql.zst` leaves 4 for the next one, also where that is `datadump4.sql`.
 * @param keys below the prefix of the job
 */
export function nextIndex(template: KeyTemplate, moment: RunMoment, keys: Iterable<string>): number {
  const before = template.before(moment);
  const after = template.after(moment, '');
  let last = 0;
  for (const key of keys) {
    if (!key.startsWith(before)) continue;
    const digits = /^(\d{1,15})(?=[^/]*$)/.exec(key.slice(before.length))?.[1];
    if (digits === undefined) continue;
    const rest = key.slice(before.length + digits.length);
    if (rest === after || rest.startsWith(`${after}.`)) last = Math.max(last, Number(digits));
  }
  return last + 1;
}
