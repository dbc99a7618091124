/** Tells of a job while it runs: lines for people, or events as NDJSON. */

const PROGRESS_EVERY_MS = 1_000;

/**
 * @param stream a progress line is only drawn, and drawn over, where it is a terminal
 * @param lineOf an event as a person reads it
 */
export function eventReporter<T extends { readonly type: string }>(
  form: 'terminal' | 'ndjson',
  stream: NodeJS.WriteStream,
  lineOf: (event: T) => string,
): (event: T) => void {
  let toldMs = Number.NEGATIVE_INFINITY;
  let drawn = false;
  return (event) => {
    const isProgress = event.type === 'progress';
    if (isProgress) {
      const nowMs = performance.now();
      if (nowMs - toldMs < PROGRESS_EVERY_MS) return;
      toldMs = nowMs;
    }
    if (form === 'ndjson') {
      stream.write(`${JSON.stringify(event)}\n`);
      return;
    }
    if (isProgress && !stream.isTTY) return;
    const before = drawn ? '\r\u001b[K' : '';
    drawn = isProgress;
    stream.write(`${before}${lineOf(event)}${drawn ? '' : '\n'}`);
  };
}
