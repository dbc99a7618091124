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
  const { cloneEventText } = await import('../report/clone-artifact-text.ts');
  return (event) => {
    process.stderr.write(`${json ? JSON.stringify(event) : cloneEventText(event)}\n`);
  };
}
