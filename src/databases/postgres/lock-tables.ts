/** Locks tables that are read under a snapshot, and sees that nothing happened to them that a snapshot does not protect from. */

import type pg from 'pg';
import { LongshoreError, messageOf } from '../../errors.ts';
import { isGone } from './errors.ts';
import { quotedTable } from './table-catalogue.ts';

/** Who changes a table holds it for a moment, or waits himself for others that have locked it for the load. */
const LOCK_WAIT_MS = 5_000;

/**
 * Less than the second after which a server looks for a deadlock: who locks the same tables in another order waits for us
 * no longer, and is not the one whom the server then breaks off.
 */
const ATTEMPT_MS = 500;
const LOCK_TIMEOUT = '55P03';

/**
 * Locks all of them, in a transaction that is open. What was locked is given back while one of them has to be waited for.
 * @throws the server's error where somebody who wants to change a table is in the way
 */
export async function lockTables(
  client: pg.ClientBase,
  tables: readonly { readonly schema: string; readonly name: string }[],
  waitMs = LOCK_WAIT_MS,
): Promise<void> {
  if (tables.length === 0) return;
  const untilMs = performance.now() + waitMs;
  await client.query('SAVEPOINT without_locks');
  for (;;) {
    const leftMs = Math.max(1, Math.ceil(untilMs - performance.now()));
    try {
      await client.query(`SET LOCAL lock_timeout = ${Math.min(leftMs, ATTEMPT_MS)}`);
      await client.query(`LOCK TABLE ${tables.map(quotedTable).join(', ')} IN ACCESS SHARE MODE`);
      await client.query(`SET LOCAL lock_timeout = ${waitMs}; RELEASE SAVEPOINT without_locks`);
      return;
    } catch (error) {
      if (isGone(error))
        throw changedMeanwhile(
          `a table was dropped or renamed while the snapshot was taken: ${messageOf(error)}`,
        );
      const isLate = performance.now() >= untilMs;
      if ((error as { code?: string }).code !== LOCK_TIMEOUT || isLate) throw error;
      await client.query('ROLLBACK TO SAVEPOINT without_locks');
    }
  }
}

/**
 * @param oids of tables that the session has locked
 * @throws DATABASE_CONFLICT where one was truncated or rewritten since the snapshot of the session was taken
 */
export async function checkNotRewritten(client: pg.ClientBase, oids: readonly number[]): Promise<void> {
  const { rows } = await client.query<{ name: string }>(REWRITTEN, [oids]);
  if (rows[0] !== undefined)
    throw changedMeanwhile(`${rows[0].name} was truncated or rewritten while the snapshot was taken`);
}

/** Tables that other sessions of this database hold so that nobody else may read them: `public.orders (by process 4711)`. */
export async function tablesLockedByOthers(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(LOCKED);
  return rows.map(({ name }) => name);
}

const LOCKED = `
SELECT DISTINCT format('%I.%I (by process %s)', n.nspname, c.relname, l.pid) AS name
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.granted
  AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid() AND c.relkind IN ('r', 'p') ORDER BY 1`;

export function changedMeanwhile(what: string): LongshoreError {
  return new LongshoreError('DATABASE_CONFLICT', what, { hint: 'run the same command again' });
}

/** Tables that have another file now than the snapshot sees: to the snapshot they would look empty. */
const REWRITTEN = `
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.oid = ANY ($1::oid[]) AND c.relfilenode <> 0 AND c.relfilenode <> pg_relation_filenode(c.oid)`;
