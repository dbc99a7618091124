/** The result of a verification as a person reads it. */

import type { VerifyResult } from '../jobs/move/verify.ts';

const LISTED = 20;

export function verifyText(result: VerifyResult): string {
  const lines = [
    result.violationsCount === 0
      ? 'everything holds'
      : `${result.violationsCount.toLocaleString('en-US')} things do not hold`,
    `  rows       ${result.rowsRead.toLocaleString('en-US')} read, ${result.referencesChecked.toLocaleString('en-US')} references looked up`,
    `  deletions  ${result.deletionsChecked.toLocaleString('en-US')} looked up on the target${result.run === undefined ? ' (no run of this move in the state folder)' : ` (${result.run})`}`,
  ];
  for (const violation of result.violations.slice(0, LISTED)) {
    const who =
      violation.row === undefined ? violation.key : `row ${violation.row.join(',')} of ${violation.column}`;
    lines.push(`  ✗ ${who} ${violation.what}`);
  }
  if (result.violationsCount > LISTED)
    lines.push(`  … ${result.violationsCount - LISTED} more; --json lists up to 1,000`);
  return lines.join('\n');
}
