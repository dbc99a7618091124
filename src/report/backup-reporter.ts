/** Tells of a backup, a restore or a drill while it runs. */

import { formatBytes } from '../config/bytes.ts';
import type { BackupEvent, EmitBackup } from '../jobs/backup/events.ts';
import { eventReporter } from './event-reporter.ts';

export function backupReporter(form: 'terminal' | 'ndjson', stream: NodeJS.WriteStream): EmitBackup {
  return eventReporter<BackupEvent>(form, stream, lineOf);
}

function lineOf(event: BackupEvent): string {
  if (event.type === 'started') return event.what;
  if (event.type === 'notice') return `note: ${event.text}`;
  const of = event.of === undefined ? '' : ` of about ${formatBytes(event.of)}`;
  return `  ${formatBytes(event.bytes)}${of}`;
}
