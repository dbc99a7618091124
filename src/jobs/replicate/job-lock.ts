/**
 * One process at a time for a job: a lock of the database that its session holds, and that is gone with it. The process
 * that holds a snapshot for a job sees by it whether anybody works on the job.
 */

import type pg from 'pg';
import { LongshoreError } from '../../errors.ts';

/** How long a process before this one may take to be gone. */
const WAIT = '5s';
/** What sessions that last have. */
const AFTERWARDS = '30s';
const LOCK_NOT_AVAILABLE = '55P03';

/** @param slot of the job; @throws RUN_LOCKED where another process works on it */
export async function lockJob(client: pg.ClientBase, slot: string): Promise<void> {
  try {
    await client.query(`SET lock_timeout = '${WAIT}'`);
    await client.query('SELECT pg_advisory_lock($1, hashtext($2))', [LOCK_CLASS, slot]);
    await client.query(`SET lock_timeout = '${AFTERWARDS}'`);
  } catch (error) {
    if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE) throw error;
    throw new LongshoreError('RUN_LOCKED', `another process works on the job of the slot ${slot}`, {
      cause: error,
      hint: 'stop it, or wait until it has ended',
    });
  }
}

/** Whether a process works on the job. */
export async function isJobLocked(client: pg.ClientBase, slot: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1::int8::oid
       AND objid = (hashtext($2)::int8 & 4294967295)::oid AND objsubid = 2 AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [LOCK_CLASS, slot],
  );
  return rowCount !== 0;
}

/** Of advisory locks with two keys: ours. */
const LOCK_CLASS = 0x4c6e6773;
