/** A clone of a database by its URL: from the pool where one is ready, made otherwise, and the pool filled up again. */

import { openCloneServer } from '../../databases/clone-server.ts';
import type { ClonePlan, ConvergedClone } from './clone.ts';
import { fillPool, takeFromPool } from './database/clone-pool.ts';
import { convergeDatabase } from './database/converge-database.ts';
import { planDatabase, shownPlan } from './database/plan-database.ts';
import type { DatabaseRequest } from './database/request.ts';
import { type CloneEnvironment, cloneEnvironment } from './settings.ts';

export interface ClonedDatabase {
  /** Undefined where only the pool was filled. */
  readonly clone: ConvergedClone | undefined;
  /** How many were added to the pool. */
  readonly pooled: number;
}

/**
 * @param pool how many are kept ready; undefined for no pool
 * @param onClone is given the clone before the pool is filled
 * @throws what converging throws
 */
export async function cloneDatabase(
  request: DatabaseRequest,
  pool: number | undefined,
  given: Partial<CloneEnvironment> = {},
  onClone: (clone: ConvergedClone) => void = () => undefined,
): Promise<ClonedDatabase> {
  const environment = cloneEnvironment(given);
  let clone: ConvergedClone | undefined;
  if (request.name !== '') {
    clone = pool === undefined ? undefined : await takeFromPool(request, environment);
    clone ??= await convergeDatabase(request, environment);
    onClone(clone);
  }
  const pooled = pool === undefined ? 0 : await fillPool(request, pool, environment);
  return { clone, pooled };
}

/** What {@link cloneDatabase} would do. @throws the errors of the server that the clone is made on */
export async function planClone(request: DatabaseRequest, signal: AbortSignal): Promise<ClonePlan> {
  await using server = await openCloneServer(request.on);
  return shownPlan(await planDatabase(request, server, process.env, signal));
}
