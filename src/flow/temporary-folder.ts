/**
 * A folder for what a run keeps on the disk. A process that was killed leaves its own, perhaps with many gigabytes in it:
 * the next one on the same machine takes it away.
 */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { diskError } from './disk-error.ts';
import { isAlive } from './is-alive.ts';

export interface TemporaryFolder extends Disposable {
  readonly path: string;
}

/** @param job whose folder it is, in its name @throws JOURNAL_UNWRITABLE where none can be made */
export function openTemporaryFolder(job: string): TemporaryFolder {
  const parent = tmpdir();
  // Processes of containers that share a disk have numbers of their own.
  const mine = `longshore-${job}-${hostname()}-`;
  let path: string;
  try {
    for (const name of readdirSync(parent)) {
      const pid = name.startsWith(mine) ? /^(\d+)-\w+$/.exec(name.slice(mine.length))?.[1] : undefined;
      if (pid !== undefined && !isAlive(Number(pid))) takeAway(join(parent, name));
    }
    path = mkdtempSync(join(parent, `${mine}${process.pid}-`));
  } catch (error) {
    throw diskError(error, 'make a folder in', parent);
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function takeAway(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Of another user, or another process takes it away at this moment: this one does not need it gone.
  }
}
