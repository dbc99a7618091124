/** Follows the change stream of the source from the checkpoint on, and lands it in the target. */

import { type Lsn, parseLsn } from '../../../databases/postgres/lsn.ts';
import { follow } from '../follow.ts';
import type { ChangeLanding } from '../landing.ts';
import type { Job } from './job.ts';
import { PostgresLanding } from './postgres-landing.ts';
import { silenceTriggers } from './sides.ts';
import type { TargetState } from './target-state.ts';

/** Changes are landed when about so much is gathered. */
const EPOCH_BYTES = 64 * 1024 ** 2;

export interface FollowChangesOptions {
  /** Ends when this is landed. */
  readonly until: Lsn | undefined;
  /** What is put around the landing. */
  readonly around: (landing: ChangeLanding) => ChangeLanding;
  /** For transactions that are not committed yet. */
  readonly folder: string;
  readonly shouldEnd: () => Promise<boolean>;
  readonly signal: AbortSignal;
}

/** @returns why it ended; see {@link follow} */
export async function followChanges(
  job: Job,
  state: TargetState,
  { until, around, folder, shouldEnd, signal }: FollowChangesOptions,
): Promise<'reached' | 'asked'> {
  const { settings, sides, slot, facts, control, clock, emit, failpoint } = job;
  await using apply = await sides.openTarget('write changes');
  const replica = await sides.within('target', 'write changes', () => silenceTriggers(apply));
  if (!replica) emit({ type: 'notice', text: LOUD });
  await using replication = await sides.openReplication('follow the change stream');
  const landing = new PostgresLanding({
    job: settings.name,
    state,
    source: control.client,
    target: apply.client,
    database: sides.target.name,
    replica,
    emit,
    failpoint,
  });
  return await sides.within('source', 'follow the change stream', () =>
    follow(
      replication,
      {
        slot,
        publication: slot,
        version: facts.version,
        fromLsn: parseLsn(state.lsn!),
        tables: state.tables,
        landing: around(landing),
        every: settings.every,
        epochBytes: EPOCH_BYTES,
        until,
        shouldEnd,
        folder,
        emit,
        failpoint,
        clock,
      },
      signal,
    ),
  );
}

const LOUD =
  'the role may not set session_replication_role in the target: its foreign keys act, and changes are written one by one; ' +
  'from PostgreSQL 15 on GRANT SET ON PARAMETER session_replication_role TO the role';
