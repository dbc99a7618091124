/** What the commands about artifacts have in common. */

import type { EmitClone } from '../jobs/clone/events.ts';

export interface CloneFlags {
  readonly store?: string;
  readonly plainHttp?: boolean;
  readonly json?: boolean;
}

export function environmentOf({ store, plainHttp }: CloneFlags) {
  return { env: process.env, store, plainHttp };
}

/** Progress on standard error: as lines, or as NDJSON. */
export async function cloneEmit(json: boolean): Promise<EmitClone> {
  const { cloneReporter } = await import('../report/clone-reporter.ts');
  return cloneReporter(json ? 'ndjson' : 'terminal', process.stderr);
}
