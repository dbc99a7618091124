/** Waits until nobody follows a slot: a process that died may be known to the server a little longer. */

import type pg from 'pg';
import { type SlotState, slotState } from '../../databases/postgres/replication-setup.ts';
import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';

/** How often, and how long, it is looked at. */
const LOOK_MS = 250;
const WAIT_MS = 5_000;

/**
 * @returns undefined where there is none of that name
 * @throws RUN_LOCKED where somebody goes on following it; the errors of the server
 */
export async function idleSlot(
  client: pg.ClientBase,
  name: string,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<SlotState | undefined> {
  for (let waitedMs = 0; ; waitedMs += LOOK_MS) {
    const slot = await slotState(client, name);
    if (slot?.active !== true) return slot;
    if (waitedMs >= WAIT_MS) {
      throw new LongshoreError('RUN_LOCKED', `another process follows the slot ${name}`, {
        hint: 'stop it, or wait until it has ended',
      });
    }
    await clock.wait(LOOK_MS, signal);
  }
}
