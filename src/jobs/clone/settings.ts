/** What a clone is asked for with, and what it runs in. */

import { hostname, userInfo } from 'node:os';
import type { Clock } from '../../flow/clock.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import type { CloneMode } from './clone.ts';
import type { EmitClone } from './events.ts';

export interface ConvergeOptions {
  readonly mode: CloneMode;
  /** Of the database, or of the cluster; made of the artifact's name where it is left out. */
  readonly name?: string | undefined;
  /** Milliseconds that it lives; 8 hours where it is left out, until it is dropped with 0. */
  readonly ttlMs?: number | undefined;
  /** Who answers for it; `user@host` where it is left out. */
  readonly owner?: string | undefined;
}

export interface CloneEnvironment {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly emit?: EmitClone | undefined;
  readonly failpoint?: Failpoint | undefined;
}

export const TTL_MS = 8 * 3_600_000;

/** `ada@laptop` */
export function defaultOwner(): string {
  return `${userInfo().username}@${hostname()}`;
}

/** ISO 8601; undefined for one that lives until it is dropped. */
export function expiryOf(ttlMs: number, nowMs: number): string | undefined {
  return ttlMs === 0 ? undefined : new Date(nowMs + ttlMs).toISOString();
}
