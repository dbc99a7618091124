/** What the demo of `backup` says at its end. */

import { backupListText, drillText } from '../report/backup-text.ts';
import type { BackupDemoResult } from './backup-demo.ts';

/** Whether the damage was found, and nothing else was wrong. */
export function backupDemoHolds({ compared, drilled, damagedTable }: BackupDemoResult): boolean {
  const [problem, ...more] = compared.problems;
  return drilled.ok && more.length === 0 && problem?.includes(damagedTable) === true;
}

export function backupDemoText(result: BackupDemoResult): string {
  const { list, restored, compared, drilled } = result;
  return [
    '',
    backupDemoHolds(result) ? 'What happened:' : 'Something went wrong:',
    `  ${restored.tables.toLocaleString('en-US')} tables with ${restored.rows.toLocaleString('en-US')} rows were backed up to ${list.to} without touching the disk:`,
    ...backupListText(list).split('\n').map(indented),
    '  It was restored into a scratch copy, and was what it had been. Then one value was changed there:',
    ...compared.problems.map((text) => `    ✗ ${text}`),
    '  And the backup itself, in a server that was started for it and is gone again:',
    ...drillText(drilled).split('\n').map(indented),
    'What to try next:',
    '  npx longshore backup --database postgres://… --to s3://… --plan',
    '  npx longshore drill --from s3://…    docs/backup.md tells the rest',
  ].join('\n');
}

function indented(line: string): string {
  return `    ${line}`;
}
