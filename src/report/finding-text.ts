/** Findings as a person reads them, each with its fix. */

/** Of a check of any job. */
interface Finding {
  readonly level: keyof typeof MARKS;
  readonly what: string;
  readonly fix: string;
}

const MARKS = { error: '✗', warning: '!', info: '·' } as const;

export function findingLines(findings: readonly Finding[]): string[] {
  return findings.flatMap(({ level, what, fix }) => [
    `  ${MARKS[level]} ${what}`,
    ...(fix === '' ? [] : [`    → ${fix}`]),
  ]);
}
