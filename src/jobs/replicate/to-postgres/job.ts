/** What the parts of a replication into PostgreSQL have in common. */

import type { Session } from '../../../databases/postgres/open-session.ts';
import type { ServerFacts } from '../../../databases/postgres/replication-setup.ts';
import { monotonicMs } from '../../../flow/clock.ts';
import type { ReplicateSettings } from '../settings.ts';
import type { Surroundings } from '../surroundings.ts';
import { WalWatch } from '../wal-watch.ts';
import type { Sides } from './sides.ts';

export interface Job extends Surroundings {
  readonly settings: ReplicateSettings;
  /** Whether changes are followed. */
  readonly follows: boolean;
  readonly sides: Sides;
  /** The name of the slot and of the publication. */
  readonly slot: string;
  readonly facts: ServerFacts;
  /** Of the source; holds the lock of the job, and reads its catalogue. */
  readonly control: Session;
  /** Of the target, for everything but rows. */
  readonly target: Session;
}

export function watchWal({ control, slot, settings, emit, clock }: Job): WalWatch {
  return new WalWatch(control.client, slot, settings, emit, () => monotonicMs(clock));
}
