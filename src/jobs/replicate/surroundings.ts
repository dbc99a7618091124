/** What a replication is surrounded by: the environment that callers give, with its defaults, and names made of its settings. */

import { type DatabaseUrl, parseDatabaseUrl } from '../../config/database-url.ts';
import { LongshoreError } from '../../errors.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import { type Failpoint, noFailpoint } from '../../flow/failpoint.ts';
import type { ReplicateListener } from './events.ts';
import type { ReplicateSettings } from './settings.ts';

export interface ReplicateEnvironment {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly clock?: Clock | undefined;
  readonly emit?: ReplicateListener | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly failpoint?: Failpoint | undefined;
  /** Whether files for a DuckDB database are applied to it; where they are not, they wait for whoever does. */
  readonly applies?: boolean | undefined;
  /** Whether the tables of the job stay those that it has, whatever is chosen or made. */
  readonly membersOnly?: boolean | undefined;
}

/** A {@link ReplicateEnvironment} with its defaults. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly emit: ReplicateListener;
  readonly signal: AbortSignal;
  readonly failpoint: Failpoint;
  readonly membersOnly: boolean;
}

export function surroundingsOf(environment: ReplicateEnvironment): Surroundings {
  return {
    env: environment.env ?? process.env,
    clock: environment.clock ?? systemClock,
    emit: environment.emit ?? (() => undefined),
    signal: environment.signal ?? new AbortController().signal,
    failpoint: environment.failpoint ?? noFailpoint,
    membersOnly: environment.membersOnly === true,
  };
}

/** Of the slot, and of the publication. */
export function slotOf({ name }: Pick<ReplicateSettings, 'name'>): string {
  return name === 'longshore' ? name : `longshore_${name}`;
}

/** Of a slot that is gone with its session. No job of any name has such a one. */
export function temporarySlotOf(
  { name }: Pick<ReplicateSettings, 'name'>,
  purpose: 'load' | 'verify',
): string {
  return `longshore${purpose}_${name}`;
}

/** @throws URL_INVALID for a URL of something else */
export function databaseOf(
  settings: ReplicateSettings,
  env: Readonly<Record<string, string | undefined>>,
): DatabaseUrl {
  const url = parseDatabaseUrl(settings.from, env);
  if (url.dialect === 'postgres') return url;
  throw new LongshoreError('URL_INVALID', `${url.name} is no PostgreSQL`, { hint: 'give a postgres:// URL' });
}
