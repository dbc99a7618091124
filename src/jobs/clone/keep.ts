/** The clones wherever they are, on a server and in an account of AWS: listed, swept, dropped. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { dropAurora, listAurora, sweepAurora } from './aurora/keep.ts';
import type { CloneEntry } from './clone.ts';
import { dropServerClone, listServerClones, sweepServerClones } from './database/server-clones.ts';
import { type CloneEnvironment, cloneEnvironment } from './settings.ts';

export interface ClonePlaces {
  readonly server: DatabaseUrl | undefined;
  /** That of the environment where no region is given. */
  readonly aws: { readonly region?: string | undefined } | undefined;
}

export async function listClones(
  { server, aws }: ClonePlaces,
  given: Partial<CloneEnvironment> = {},
): Promise<CloneEntry[]> {
  return [
    ...(server === undefined ? [] : await listServerClones(server)),
    ...(aws === undefined ? [] : await listAurora(cloneEnvironment(given), aws)),
  ];
}

export interface SweptClone {
  readonly name: string;
  readonly why: string;
  /** Why it is still there; undefined where it is gone. */
  readonly failed?: string | undefined;
}

/**
 * Drops what has expired; what Longshore did not make is not touched.
 * @param plan whether nothing is dropped
 */
export async function sweepClones(
  { server, aws }: ClonePlaces,
  plan: boolean,
  given: Partial<CloneEnvironment> = {},
): Promise<SweptClone[]> {
  const environment = cloneEnvironment(given);
  const swept: SweptClone[] =
    server === undefined ? [] : await sweepServerClones(server, { plan }, environment);
  if (aws === undefined) return swept;
  const now = environment.clock.now();
  const why = 'expired';
  if (plan) {
    const due = (await listAurora(environment, aws)).filter(
      ({ expiresAt }) => expiresAt !== undefined && Date.parse(expiresAt) <= now,
    );
    return [...swept, ...due.map(({ name }) => ({ name, why }))];
  }
  const { dropped, failed } = await sweepAurora(environment, { ...aws, now });
  return [
    ...swept,
    ...dropped.map((name) => ({ name, why })),
    ...failed.map(({ name, why: reason }) => ({ name, why, failed: reason })),
  ];
}

/** @throws CHECK_FAILED where there is no clone of that name */
export async function dropClone(
  name: string,
  { server, aws }: ClonePlaces,
  given: Partial<CloneEnvironment> = {},
): Promise<void> {
  if (server !== undefined) await dropServerClone(server, name);
  if (aws !== undefined) await dropAurora(name, cloneEnvironment(given), aws);
}
