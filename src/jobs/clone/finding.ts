/** What a plan finds, of each kind, and that problems keep a clone from being made. */

import { LongshoreError } from '../../errors.ts';
import type { ClonePlan, Finding } from './clone.ts';

export const ok = (text: string): Finding => ({ kind: 'ok', text });
export const warning = (text: string, hint?: string): Finding => ({ kind: 'warning', text, hint });
export const problem = (text: string, hint?: string): Finding => ({ kind: 'problem', text, hint });

/** A problem where it throws. @param look says what is right */
export async function lookAt(look: () => Promise<string>, signal: AbortSignal): Promise<Finding> {
  try {
    return ok(await look());
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof LongshoreError)) throw error;
    return problem(error.message, error.hint);
  }
}

/** @throws CHECK_FAILED with every problem that was found, and what to do about each */
export function stopAtProblems({ name, findings }: Pick<ClonePlan, 'name' | 'findings'>): void {
  const problems = findings.filter(({ kind }) => kind === 'problem');
  if (problems.length === 0) return;
  const hints = new Set(problems.flatMap(({ hint }) => hint ?? []));
  throw new LongshoreError(
    'CHECK_FAILED',
    `cannot make ${name}: ${problems.map(({ text }) => text).join('; ')}`,
    { hint: [...hints].join('; ') || undefined },
  );
}
