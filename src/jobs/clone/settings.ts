/** How a clone is asked for, and what a clone job is given to work with. */

import { hostname, userInfo } from 'node:os';
import type { DatabaseUrl } from '../../config/database-url.ts';
import { parseDuration } from '../../config/duration.ts';
import { LongshoreError } from '../../errors.ts';
import { type Clock, systemClock } from '../../flow/clock.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import type { CloneMode, Finding } from './clone.ts';
import type { EmitClone } from './events.ts';

export interface ConvergeOptions {
  readonly mode: CloneMode;
  /** Made of artifact, mode and owner where it is left out, so that the same asked again is the same clone. */
  readonly name?: string | undefined;
  /** Milliseconds; that of the artifact, else 8 hours, where it is left out; 0 lives on until it is dropped. */
  readonly ttlMs?: number | undefined;
  readonly owner?: string | undefined;
  /** Of CloudFormation. */
  readonly stackName?: string | undefined;
  /** Who may connect: `203.0.113.7/32`; the caller's address where it is left out. */
  readonly clientCidr?: string | undefined;
  /** Of the master user of an empty database; a clone has that of its source. */
  readonly username?: string | undefined;
}

export interface CloneEnvironment {
  /** `AWS_*`, `DB_PASSWORD`, `DB_USERNAME` */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly emit: EmitClone;
  /** Logs in, or rejects with DATABASE_DENIED or DATABASE_UNREACHABLE. */
  readonly login?: ((url: DatabaseUrl, signal?: AbortSignal) => Promise<void>) | undefined;
  /** The address that AWS sees this machine under. */
  readonly callerAddress?: ((signal?: AbortSignal) => Promise<string>) | undefined;
  /**
   * Called once the master user can log in, and before the clone counts as ready: applies the changelog, masks. It is
   * called again after a run that died, so doing it again changes nothing.
   */
  readonly prepare?: ((url: DatabaseUrl, signal?: AbortSignal) => Promise<void>) | undefined;
  /** Finds out, as part of the plan, what would keep `prepare` from working. */
  readonly check?:
    | ((dialect: DatabaseUrl['dialect'], signal?: AbortSignal) => Promise<Finding[]>)
    | undefined;
  readonly failpoint?: Failpoint | undefined;
}

export const TTL_MS_DEFAULT = 8 * 3_600_000;

/** How long a clone lives, in milliseconds; 0 until it is dropped. @throws CONFIG_INVALID */
export function lifeOf(text: string): number {
  return text.trim() === '0' ? 0 : parseDuration(text);
}

/** With the process's own environment, the system's clock, and nobody who listens, where they are left out. */
export function cloneEnvironment(given: Partial<CloneEnvironment> = {}): CloneEnvironment {
  return { env: process.env, clock: systemClock, emit: () => undefined, ...given };
}

/** `ada@laptop` */
export function defaultOwner(): string {
  return `${userInfo().username}@${hostname()}`;
}

/** ISO 8601; undefined for one that lives until it is dropped. @throws CONFIG_INVALID where no calendar goes so far */
export function expiryOf(ttlMs: number, nowMs: number): string | undefined {
  if (ttlMs === 0) return undefined;
  const at = new Date(nowMs + ttlMs);
  if (at.getUTCFullYear() <= YEAR_MAX) return at.toISOString();
  throw new LongshoreError('CONFIG_INVALID', 'the clone would live too long to say until when', {
    hint: '--ttl 0 lets it live until it is dropped',
  });
}

const YEAR_MAX = 9999;
