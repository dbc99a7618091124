/** Findings as a person reads them, each with its fix. */

import type { Finding } from '../jobs/move/findings.ts';

const MARKS = { error: '✗', warning: '!', info: '·' } as const;

export function findingLines(findings: readonly Finding[]): string[] {
  return findings.flatMap(({ level, what, fix }) => [
    `  ${MARKS[level]} ${what}`,
    ...(fix === '' ? [] : [`    → ${fix}`]),
  ]);
}
