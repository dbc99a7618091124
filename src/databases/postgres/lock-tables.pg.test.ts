/** Locks beside programs that lock the same tables in another order. */

import { expect, test } from 'vitest';
import { postgresServer } from '../../../test/servers/postgres.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { lockTables } from './lock-tables.ts';
import { openSession } from './open-session.ts';

test('who locks the same tables in another order is not broken off', async () => {
  await using server = await postgresServer();
  const database = await server.createDatabase();
  await database.sql('CREATE TABLE a (id int); CREATE TABLE b (id int)');
  await using other = await database.session();
  await other.sql('BEGIN; LOCK TABLE b');
  const doing = { action: 'test', database: 'test', user: undefined };
  await using session = await openSession(parseDatabaseUrl(database.url).connection, { doing });
  await session.client.query('BEGIN');
  const tables = ['a', 'b'].map((name) => ({ schema: 'public', name }));
  const locking = lockTables(session.client, tables, 20_000);
  locking.catch(() => undefined);
  const waiting = `SELECT FROM pg_locks WHERE NOT granted AND relation = 'b'::regclass`;
  await expect.poll(() => database.sql(waiting)).toHaveLength(1);
  await other.sql('LOCK TABLE a');
  await other.sql('COMMIT');
  await locking;
  await other.sql('BEGIN; LOCK TABLE b IN SHARE MODE; COMMIT');
  await session.client.query('COMMIT; BEGIN');
  await other.sql('BEGIN; LOCK TABLE b');
  await expect(lockTables(session.client, tables, 700)).rejects.toMatchObject({ code: '55P03' });
  await session.client.query('ROLLBACK');
});
