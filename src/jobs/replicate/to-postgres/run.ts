/** Runs a replication from PostgreSQL into PostgreSQL, and goes on by itself after what passes. */

import { monotonicMs } from '../../../flow/clock.ts';
import type { ReplicateListener } from '../events.ts';
import { keepFollowing } from '../keep-following.ts';
import type { ReplicateSummary } from '../run.ts';
import { type ReplicateOptions, type ReplicateSettings, resolveReplicateOptions } from '../settings.ts';
import { type ReplicateEnvironment, surroundingsOf } from '../surroundings.ts';
import { PostgresReplication, type Totals } from './postgres-replication.ts';

/** How long changes are gathered where nothing else is said: a database is read while it follows. */
const EVERY = '1s';

/** @see replicate */
export async function replicateToPostgres(
  options: ReplicateOptions,
  environment: ReplicateEnvironment = {},
): Promise<ReplicateSummary> {
  const settings = settingsHere(options);
  const surroundings = surroundingsOf(environment);
  const { clock, emit, signal } = surroundings;
  const startedMs = monotonicMs(clock);
  const totals: Totals = { rows: 0, bytes: 0, changes: 0, resynced: false };
  const attempt = async (listener: ReplicateListener) => {
    await using stack = new AsyncDisposableStack();
    const given = { ...surroundings, emit: listener };
    const replication = await PostgresReplication.open(settings, given, totals, stack);
    return await replication.run();
  };
  const { epoch, lsn } = await keepFollowing(attempt, { clock, emit, signal });
  const seconds = (monotonicMs(clock) - startedMs) / 1000;
  emit({ type: 'run-finished', seconds });
  const { rows, bytes, changes } = totals;
  return { job: settings.name, seconds, epoch, lsn: lsn!, loaded: { rows, files: 0, bytes }, changes };
}

/** The settings of a replication into PostgreSQL, with its own defaults. */
export function settingsHere(options: ReplicateOptions): ReplicateSettings {
  return resolveReplicateOptions({ ...options, every: options.every ?? EVERY });
}
