/** Stops a command cleanly on the first signal; the second one ends the process. */

/** Thrown where a command was stopped by a signal. */
export class Stopped extends Error {
  constructor(signal: string) {
    super(`stopped by ${signal}`);
    this.name = 'Stopped';
  }
}

export interface StopNotice {
  /** As an NDJSON event. */
  readonly json?: boolean;
  /** What is said of going on. */
  readonly text?: string;
}

/** Runs `command` with a signal that SIGINT and SIGTERM abort. @throws Stopped */
export async function stoppable<T>(
  command: (signal: AbortSignal) => Promise<T>,
  { json = false, text = 'run the same command again to go on where it stopped' }: StopNotice = {},
): Promise<T> {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    process.stderr.write(json ? `${JSON.stringify({ type: 'stopping', text })}\n` : `\nstopping; ${text}\n`);
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
    controller.abort(new Stopped(name));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await command(controller.signal);
  } catch (error) {
    // Whatever broke off because of the signal, the signal is why.
    if (controller.signal.aborted) throw controller.signal.reason;
    throw error;
  } finally {
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
  }
}
