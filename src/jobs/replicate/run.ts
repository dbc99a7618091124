/** Replicates a PostgreSQL database, into files or another database, and ends a replication. */

import { postgresError } from '../../databases/postgres/errors.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import { dropReplication } from '../../databases/postgres/replication-setup.ts';
import { monotonicMs, systemClock } from '../../flow/clock.ts';
import type { ReplicateListener } from './events.ts';
import { idleSlot } from './idle-slot.ts';
import { keepFollowing } from './keep-following.ts';
import { LakeJob, type Totals } from './lake-job.ts';
import type { Manifest } from './manifest.ts';
import { Replication } from './replication.ts';
import { type ReplicateOptions, resolveReplicateOptions } from './settings.ts';
import { endHolders } from './snapshot-holder.ts';
import { databaseOf, type ReplicateEnvironment, slotOf, surroundingsOf } from './surroundings.ts';
import { isDatabase } from './to-postgres/sides.ts';

export { type ReplicateEnvironment, slotOf };

export interface ReplicateSummary {
  readonly job: string;
  readonly seconds: number;
  /** The newest epoch of the replica. */
  readonly epoch: number;
  /** Everything that committed up to this is in the files. */
  readonly lsn: string;
  /** Of this process, and of one that died in the same load. */
  readonly loaded: { readonly rows: number; readonly files: number; readonly bytes: number };
  readonly changes: number;
}

/**
 * Replicates tables of a PostgreSQL database into Parquet files.
 *
 * May be called again after it failed, was stopped or its process died: it goes on behind the last epoch that is in
 * the bucket, or with the chunks of a full load that are not loaded yet.
 *
 * @throws {LongshoreError} CONFIG_INVALID, URL_INVALID, CHECK_FAILED, RUN_LOCKED, RUN_INCOMPLETE (a limit of the log was
 *   reached) and the errors of the store and database
 * @example
 * ```ts
 * import { replicate } from 'longshore';
 * await replicate({ from: 'postgres://localhost/shop', to: 's3://lake/shop/', untilCaughtUp: true });
 * ```
 */
export async function replicate(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<ReplicateSummary> {
  if (isDatabase(options.to)) {
    const { replicateToPostgres } = await import('./to-postgres/run.ts');
    return await replicateToPostgres(options, environment);
  }
  const settings = resolveReplicateOptions(options);
  const surroundings = surroundingsOf(environment);
  const { clock, emit, signal } = surroundings;
  const startedMs = monotonicMs(clock);
  const totals: Totals = { loaded: { rows: 0, files: 0, bytes: 0 }, changes: 0, resynced: false };
  const attempt = async (listener: ReplicateListener): Promise<Manifest> => {
    await using stack = new AsyncDisposableStack();
    const given = { ...surroundings, emit: listener };
    const job = await LakeJob.open(settings, given, totals, environment.applies !== false, stack);
    return await new Replication(job).run();
  };
  const { epoch, toLsn } = await keepFollowing(attempt, { clock, emit, signal });
  const seconds = (monotonicMs(clock) - startedMs) / 1000;
  emit({ type: 'run-finished', seconds });
  const { loaded, changes } = totals;
  return { job: settings.name, seconds, epoch, lsn: toLsn, loaded, changes };
}

/** Takes the slot and the publication of a job away, and whoever holds its snapshot; its files stay. */
export async function dropReplicationOf(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<void> {
  const settings = resolveReplicateOptions(options);
  const url = databaseOf(settings, environment.env ?? process.env);
  const doing = {
    action: `drop the replication of ${url.name}`,
    database: url.name,
    user: url.connection.user,
  };
  await using session = await openSession(url.connection, { doing });
  try {
    await endHolders(session.client, slotOf(settings));
    const { clock = systemClock, signal = new AbortController().signal } = environment;
    await idleSlot(session.client, slotOf(settings), { clock, signal });
    await dropReplication(session.client, slotOf(settings), slotOf(settings));
  } catch (error) {
    throw postgresError(error, doing);
  }
}
