/** Tells of a clone while it is made, dropped or swept. */

import { formatBytes } from '../config/bytes.ts';
import type { CloneEvent, EmitClone } from '../jobs/clone/events.ts';
import { eventReporter } from './event-reporter.ts';

export function cloneReporter(form: 'terminal' | 'ndjson', stream: NodeJS.WriteStream): EmitClone {
  return eventReporter<CloneEvent>(form, stream, lineOf);
}

function lineOf(event: CloneEvent): string {
  switch (event.type) {
    case 'phase':
      return event.phase;
    case 'notice':
      return `note: ${event.text}`;
    case 'step':
      return `  ${event.what}: ${event.state}${event.reason === undefined ? '' : ` – ${event.reason}`}`;
    case 'progress': {
      const { bytes, of } = event;
      const share =
        of === undefined || of === 0 ? '' : ` (${Math.min(100, Math.round((100 * bytes) / of))} %)`;
      return `  ${formatBytes(bytes)}${of === undefined ? '' : ` of about ${formatBytes(of)}`}${share}`;
    }
  }
}
