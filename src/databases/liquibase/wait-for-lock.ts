/** Waits until nobody else applies a changelog to the database, and releases a lock that nobody holds any more. */

import { execFile } from 'node:child_process';
import { hostname } from 'node:os';
import { LongshoreError } from '../../errors.ts';
import { type Clock, monotonicMs } from '../../flow/clock.ts';
import type { LiquibaseSession } from './liquibase-session.ts';
import { whyStale } from './stale-lock.ts';

const LOCK_WAIT_MS = 5 * 60_000;
const ASK_EVERY_MS = 500;

/**
 * @param database its name, for messages
 * @returns whether a lock was left behind
 * @throws CHECK_FAILED where somebody holds it for longer than is waited, saying who, since when, and how to release it
 */
export async function waitForLock(
  session: LiquibaseSession,
  database: string,
  {
    clock,
    lockWaitMs = LOCK_WAIT_MS,
    madeAtMs,
  }: { readonly clock: Clock; readonly lockWaitMs?: number; readonly madeAtMs?: number | undefined },
  emit: (event: { readonly type: 'notice'; readonly text: string }) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const start = monotonicMs(clock);
  let released = false;
  let told: string | undefined;
  /** @throws where it was waited for long enough */
  const wait = async (reason: string, hint: string) => {
    if (monotonicMs(clock) - start >= lockWaitMs)
      throw new LongshoreError('CHECK_FAILED', `Cannot apply the changelog to ${database}: ${reason}`, {
        hint,
      });
    if (told !== reason) emit({ type: 'notice', text: `waiting: ${reason}` });
    told = reason;
    await clock.wait(ASK_EVERY_MS, signal);
  };
  while (!(await session.claim()))
    await wait('another run of longshore applies a changelog to it', 'wait until it is done');
  for (;;) {
    const lock = await session.heldLock();
    if (lock === undefined) return released;
    const others = await session.others();
    const why = whyStale(lock, { ...others, host: hostname(), processes: await commandLines(), madeAtMs });
    const holder = `${lock.lockedBy || 'somebody'} since ${lock.grantedAt || 'an unknown time'}`;
    if (why !== undefined) {
      await session.release(lock);
      released = true;
      emit({ type: 'notice', text: `released the lock that was held by ${holder}: ${why}` });
      continue;
    }
    await wait(
      `its lock is held by ${holder}`,
      'where nobody runs Liquibase there any more, `liquibase release-locks` releases it',
    );
  }
}

/** Of the processes of this machine; undefined where they cannot be listed. */
function commandLines(): Promise<string[] | undefined> {
  if (process.platform === 'win32') return Promise.resolve(undefined);
  return new Promise((resolve) => {
    execFile('ps', ['-A', '-ww', '-o', 'args='], { maxBuffer: 64 * 1024 ** 2 }, (error, stdout) =>
      // Without it nothing is known, which releases nothing.
      resolve(error === null ? stdout.split('\n') : undefined),
    );
  });
}
