/** Whether somebody can log in, proven by doing it. */

import type { DatabaseUrl } from '../config/database-url.ts';

/** @throws DATABASE_DENIED where the password is refused, DATABASE_UNREACHABLE where nobody answers */
export async function proveLogin(url: DatabaseUrl, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const doing = { action: `log in to ${url.name}`, database: url.name, user: url.connection.user ?? '' };
  if (url.dialect === 'postgres') {
    const { openSession } = await import('./postgres/open-session.ts');
    await using session = await openSession(url.connection, { doing });
    await session.client.query('SELECT 1');
    return;
  }
  const { MysqlConnections } = await import('./mysql/connections.ts');
  await using connections = new MysqlConnections(url.connection, 1);
  await connections.use(doing, signal, (client) => client.rows('SELECT 1'));
}
