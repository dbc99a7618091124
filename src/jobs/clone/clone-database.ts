/** A clone of a database by its URL: from the pool where one is ready, made otherwise, and the pool filled up again. */

import { readFile } from 'node:fs/promises';
import { openCloneServer } from '../../databases/clone-server.ts';
import { LongshoreError, messageOf } from '../../errors.ts';
import type { Changelog } from './artifact.ts';
import type { ClonePlan, ConvergedClone } from './clone.ts';
import { fillPool, takeFromPool } from './database/clone-pool.ts';
import { convergeDatabase } from './database/converge-database.ts';
import { planDatabase, shownPlan } from './database/plan-database.ts';
import type { BackupSource, DatabaseRequest } from './database/request.ts';
import { type CloneOptions, type CloneSettings, requestOf, resolveCloneOptions } from './options.ts';
import { readChangelog } from './read-changelog.ts';
import { type CloneEnvironment, cloneEnvironment } from './settings.ts';

export interface CloneRunEnvironment extends Partial<CloneEnvironment> {
  /** Backups that the clone can be made from. */
  readonly backups?: BackupSource | undefined;
  /** Given the clone before the pool is filled up. */
  readonly onClone?: ((clone: ConvergedClone) => void) | undefined;
}

export interface ClonedDatabase {
  /** Undefined where only the pool was filled. */
  readonly clone: ConvergedClone | undefined;
  /** How many were added to the pool. */
  readonly pooled: number;
}

/**
 * Makes the clone that the options describe; one that is there and was made of the same is given back as it is.
 * @throws CONFIG_INVALID; CHECK_FAILED with everything that is in the way, before anything is made; the errors of the databases
 */
export async function cloneDatabase(
  options: CloneOptions,
  given: CloneRunEnvironment = {},
): Promise<ClonedDatabase> {
  const { backups, onClone, ...more } = given;
  const environment = cloneEnvironment(more);
  const settings = resolveCloneOptions(options);
  const request = await readRequest(settings, backups, environment);
  return await cloneOrTake(request, settings.pool, environment, onClone);
}

/**
 * From the pool where one is ready, made otherwise; then the pool is filled up.
 * @param request without a name fills the pool alone
 * @param pool how many are kept ready; undefined for no pool
 */
export async function cloneOrTake(
  request: DatabaseRequest,
  pool: number | undefined,
  environment: CloneEnvironment,
  onClone?: (clone: ConvergedClone) => void,
): Promise<ClonedDatabase> {
  let clone: ConvergedClone | undefined;
  if (request.name !== '') {
    clone = pool === undefined ? undefined : await takeFromPool(request, environment);
    clone ??= await convergeDatabase(request, environment);
    onClone?.(clone);
  }
  const pooled = pool === undefined ? 0 : await fillPool(request, pool, environment);
  return { clone, pooled };
}

/** What {@link cloneDatabase} would do; changes nothing. */
export async function planClone(options: CloneOptions, given: CloneRunEnvironment = {}): Promise<ClonePlan> {
  const { backups, onClone: _, ...more } = given;
  const environment = cloneEnvironment(more);
  const { env, signal = new AbortController().signal } = environment;
  const request = await readRequest(resolveCloneOptions(options), backups, environment);
  await using server = await openCloneServer(request.on);
  return shownPlan(await planDatabase(request, server, env, signal));
}

async function readRequest(
  settings: CloneSettings,
  backups: BackupSource | undefined,
  { env, signal }: CloneEnvironment,
): Promise<DatabaseRequest> {
  const { changelog, masking } = settings;
  const parts = {
    changelog: changelog === undefined ? undefined : await changelogAt(changelog, signal),
    masking: masking === undefined ? undefined : await textOf(masking),
    backups,
  };
  return requestOf(settings, parts, env);
}

function changelogAt(place: string, signal: AbortSignal | undefined): Promise<Changelog> {
  const isUrl = /^https?:\/\//i.test(place);
  return readChangelog(
    isUrl ? { kind: 'url', url: place } : { kind: 'file', path: place },
    process.cwd(),
    signal,
  );
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read ${path}: ${messageOf(error)}`, {
      hint: 'name a file of masking rules with --masking',
      cause: error,
    });
  }
}
