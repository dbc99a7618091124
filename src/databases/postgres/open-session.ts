/** One connection to PostgreSQL, for work that lasts: a snapshot, a copy, a change stream. */

import pg from 'pg';
import type { DatabaseConnection } from '../../config/database-url.ts';
import { clientConfig, SESSION } from './client-config.ts';
import { type Doing, postgresError } from './errors.ts';

/**
 * A session that may last for hours and wait for nobody. What it has locked is free again two minutes after its client is
 * gone without a word, and not after the two hours of most systems.
 */
const LASTING = `
  SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 20; SET tcp_keepalives_count = 3;
  SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '30s';
  SET lc_monetary = 'C'; SET max_parallel_workers_per_gather = 0; SET synchronize_seqscans = off`;

export interface Session extends AsyncDisposable {
  readonly client: pg.Client;
}

/**
 * @param replication whether it speaks the replication protocol, beside simple queries
 * @throws DATABASE_UNREACHABLE, DATABASE_DENIED
 */
export async function openSession(
  connection: DatabaseConnection,
  options: { readonly doing: Doing; readonly replication?: boolean },
): Promise<Session> {
  const client = new pg.Client({
    ...(await clientConfig(connection)),
    connectionTimeoutMillis: connection.connectTimeoutMs,
    ...(options.replication === true ? { replication: 'database' } : {}),
  } as pg.ClientConfig);
  // What breaks while a statement runs also fails the statement.
  client.on('error', () => undefined);
  try {
    await client.connect();
    for (const statement of `${SESSION};${LASTING}`.split(';')) await client.query(statement);
  } catch (error) {
    await client.end().catch(() => undefined);
    throw postgresError(error, options.doing);
  }
  return { client, [Symbol.asyncDispose]: () => client.end().catch(() => undefined) };
}
