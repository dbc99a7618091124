/** Numbers with a unit in a schema: a number as it is, text as a parser reads it. */

import { z } from 'zod';
import { LongshoreError } from '../errors.ts';

/**
 * What the parser cannot read becomes an issue with the value and its form.
 * @param others what may stand there besides, for the issue
 */
export function readUnit(
  value: number | string,
  context: z.RefinementCtx,
  parse: (text: string) => number,
  others = '',
): number {
  if (typeof value === 'number') return value;
  try {
    return parse(value);
  } catch (error) {
    if (!(error instanceof LongshoreError)) throw error;
    context.addIssue({ code: 'custom', message: `${error.message} (${others}${error.hint ?? ''})` });
    return z.NEVER;
  }
}
