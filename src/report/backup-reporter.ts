/** Tells of a backup, a restore or a drill while it runs: lines for people, or events as NDJSON. */

import { formatBytes } from '../config/bytes.ts';
import type { BackupEvent, EmitBackup } from '../jobs/backup/events.ts';

const PROGRESS_EVERY_MS = 1_000;

/** @param stream a progress line is only drawn, and drawn over, where it is a terminal */
export function backupReporter(form: 'terminal' | 'ndjson', stream: NodeJS.WriteStream): EmitBackup {
  let toldMs = Number.NEGATIVE_INFINITY;
  let drawn = false;
  return (event) => {
    if (event.type === 'progress') {
      const nowMs = performance.now();
      if (nowMs - toldMs < PROGRESS_EVERY_MS) return;
      toldMs = nowMs;
    }
    if (form === 'ndjson') {
      stream.write(`${JSON.stringify(event)}\n`);
      return;
    }
    if (event.type === 'progress' && !stream.isTTY) return;
    const before = drawn ? '\r\u001b[K' : '';
    drawn = event.type === 'progress';
    stream.write(`${before}${lineOf(event)}${drawn ? '' : '\n'}`);
  };
}

function lineOf(event: BackupEvent): string {
  if (event.type === 'started') return event.what;
  if (event.type === 'notice') return `note: ${event.text}`;
  const of = event.of === undefined ? '' : ` of about ${formatBytes(event.of)}`;
  return `  ${formatBytes(event.bytes)}${of}`;
}
