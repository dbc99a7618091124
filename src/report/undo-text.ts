/** The summary of an undo as a person reads it. */

import type { UndoSummary } from '../jobs/move/undo.ts';

export function undoText(summary: UndoSummary): string {
  const { total, failures, failed } = summary;
  return [
    failures === 0 ? `undone: ${summary.run}` : `${failures} things could not be undone: ${summary.run}`,
    `  objects   ${total.objects.copied + total.objects.already} in their old place, ${total.objects.copied} of them copied back`,
    `  rows      ${total.rows.rewritten} put back`,
    `  copies    ${total.deletes.deleted} taken away`,
    ...failed.map(({ what, message, code }) => `  ✗ ${what}: ${message} [${code}]`),
  ].join('\n');
}
