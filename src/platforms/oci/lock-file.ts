/** A file that one process at a time has, for moments. One that was left by a process that is gone is taken over. */

import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import { diskError } from '../../flow/disk-error.ts';
import { isAlive } from '../../flow/is-alive.ts';

const WAIT_MS = 10;
const WAITS_MAX = 3_000;

/** @throws RUN_LOCKED after half a minute, JOURNAL_UNWRITABLE, the signal's reason */
export async function lockFile(
  path: string,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<AsyncDisposable> {
  for (let waits = 0; !take(path); waits++) {
    if (waits === WAITS_MAX)
      throw new LongshoreError('RUN_LOCKED', `${path} belongs to another process`, {
        hint: 'remove the file if no other process works in that folder',
      });
    await clock.wait(WAIT_MS, signal);
  }
  return {
    async [Symbol.asyncDispose]() {
      rmSync(path, { force: true });
    },
  };
}

/** It appears with the process's number in it: nobody sees it empty. */
function take(path: string): boolean {
  const mine = `${path}-${process.pid}-${randomUUID()}`;
  try {
    writeFileSync(mine, String(process.pid));
    linkSync(mine, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw diskError(error, 'write', path);
    giveUpDead(path, mine);
    return false;
  } finally {
    rmSync(mine, { force: true });
  }
}

function giveUpDead(path: string, mine: string): void {
  try {
    const pid = Number(readFileSync(path, 'utf8'));
    if (isAlive(pid)) return;
    // Of several that see it only one moves it away. What it moved may be the lock of one that was faster: it gets it back.
    renameSync(path, mine);
    if (Number(readFileSync(mine, 'utf8')) !== pid) linkSync(mine, path);
  } catch (error) {
    // Gone meanwhile, or taken again: the next attempt sees what is there.
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EEXIST') throw diskError(error, 'write', path);
  }
}
