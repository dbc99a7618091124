/**
 * Whether the lock of Liquibase is held by somebody who still runs. A run that is killed leaves it behind, and a copy of a
 * database has the lock of its source.
 */

import { createHash } from 'node:crypto';

/**
 * Stands in LOCKEDBY of a run of Longshore, and names its session. What Java takes for the name of a machine is often an
 * address, so that the machine is told here.
 */
export function runToken(host: string, random: string): string {
  return `${machineToken(host)}${random}`;
}

function machineToken(host: string): string {
  return `longshore-${createHash('sha256').update(host).digest('hex').slice(0, 12)}-`;
}

/** The row of DATABASECHANGELOGLOCK. */
export interface HeldLock {
  /** `host (address)`, `host#longshore-… (address)` */
  readonly lockedBy: string;
  /** `2026-11-22 02:00:37`, in a time zone that nobody wrote down. */
  readonly grantedAt: string;
}

/** What is known while no other run of Longshore works on the database. */
export interface LockWitness {
  /** Of other sessions on the database; undefined where the server does not tell. */
  readonly sessionNames: readonly string[] | undefined;
  /** Other sessions on the database; undefined where not all are seen. */
  readonly sessions: number | undefined;
  /** Whether one of them, of those that are seen, runs a statement. */
  readonly busy: boolean;
  readonly host: string;
  /** Command lines of the processes of this machine; undefined where they cannot be read. */
  readonly processes: readonly string[] | undefined;
  /** When the database was made, milliseconds since the epoch; undefined where it is not known. */
  readonly madeAtMs: number | undefined;
}

/** Clocks of the world are at most so far behind and ahead of UTC. */
const BEHIND_MS = 12 * 3_600_000;
const AHEAD_MS = 14 * 3_600_000;

/**
 * | LOCKEDBY | what is known | stale |
 * | --- | --- | --- |
 * | a run of Longshore | its session is there | no |
 * | | sessions have names, and its is not there | yes |
 * | | nobody else is connected | yes |
 * | | this machine has no such process, and no session runs a statement | yes |
 * | anything else | granted before the database was made, in every time zone | yes |
 * | | perhaps granted before it was made, and nobody else is connected | yes |
 * | | this machine, no process of Liquibase, and nobody else is connected | yes |
 * | | anything else | no |
 *
 * @returns why it is stale; undefined where somebody may hold it
 */
export function whyStale(lock: HeldLock, witness: LockWitness): string | undefined {
  const { sessionNames, sessions, processes, busy, madeAtMs } = witness;
  const [, host, token] = /^(.*?)(?:#(longshore-[\w-]+))? ?(?:\(.*)?$/s.exec(lock.lockedBy)!;
  if (token !== undefined) {
    if (sessionNames !== undefined)
      return sessionNames.includes(token) ? undefined : 'the run that took it is no longer connected';
    if (sessions === 0) return 'nobody else is connected to the database';
    const here = token.startsWith(machineToken(witness.host));
    const gone = here && processes !== undefined && !processes.some((line) => line.includes(token));
    return gone && !busy ? 'the process that took it is gone' : undefined;
  }
  const granted = Date.parse(`${lock.grantedAt.replace(' ', 'T')}Z`);
  if (madeAtMs !== undefined && granted + BEHIND_MS < madeAtMs)
    return 'it was taken before this database was made';
  if (sessions !== 0) return undefined;
  if (madeAtMs !== undefined && granted - AHEAD_MS < madeAtMs)
    return 'it came with the copied data, and nobody is connected to the copy';
  const here = host!.trim().split('.')[0] === witness.host.split('.')[0];
  const gone = here && processes !== undefined && !processes.some((line) => /liquibase/i.test(line));
  return gone ? 'no process of Liquibase runs on this machine, and nobody else is connected' : undefined;
}
