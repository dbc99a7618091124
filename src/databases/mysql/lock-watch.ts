/** Ends a dump that waits too long for a table that another session has locked: dump programs have no limit for it. */

import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { isRetryable, LongshoreError } from '../../errors.ts';
import type { ClientAccess } from './client-access.ts';
import { quoteText } from './sql.ts';

const LOOK_EVERY_MS = 1000;

/** Destroys the stream with DATABASE_CONFLICT; ends with it. */
export function watchLocks(access: ClientAccess, stream: Readable, waitMs: number): void {
  const closed = new AbortController();
  stream.once('close', () => closed.abort());
  void watch(access, stream, waitMs, closed.signal).catch((error: unknown) => {
    if (!closed.signal.aborted) stream.destroy(error as Error);
  });
}

async function watch(
  access: ClientAccess,
  stream: Readable,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const statement = waitingText(access.database, waitMs);
  while (!stream.closed) {
    await delay(Math.min(LOOK_EVERY_MS, waitMs), undefined, { signal });
    const [row] = await access
      .use('look for locks', signal, (client) => client.rows(statement))
      .catch((error: unknown) => {
        // The dump goes on: what keeps us from looking now may not keep us a second later.
        if (isRetryable(error)) return [];
        throw error;
      });
    if (row === undefined) continue;
    stream.destroy(
      new LongshoreError(
        'DATABASE_CONFLICT',
        `Cannot dump ${access.url.name}: a table was locked by another session for more than ${waitMs / 1000} s`,
        {
          hint: 'end what holds the lock, or let the dump wait longer',
          context: { database: access.url.name },
        },
      ),
    );
    await once(stream, 'close');
  }
}

/** Statements as dump programs send them, of our own user: others are seen by few. */
function waitingText(database: string, waitMs: number): string {
  return `SELECT CAST(ID AS CHAR) FROM information_schema.PROCESSLIST
    WHERE DB = ${quoteText(database)} AND USER = SUBSTRING_INDEX(USER(), '@', 1) AND STATE LIKE 'Waiting for table%'
      AND TIME >= ${Math.ceil(waitMs / 1000)} AND (INFO LIKE 'SELECT /*!%' OR INFO LIKE 'SHOW %') LIMIT 1`;
}
