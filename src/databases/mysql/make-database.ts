/** Makes and drops databases of MySQL and MariaDB. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { MysqlConnections } from './connections.ts';
import { quoteName } from './sql.ts';

/** @throws DATABASE_DENIED, DATABASE_FAILED */
export function createDatabase(url: DatabaseUrl, name: string): Promise<void> {
  return run(url, `make the database ${name}`, `CREATE DATABASE ${quoteName(name)} CHARACTER SET utf8mb4`);
}

/** @throws DATABASE_DENIED, DATABASE_FAILED */
export function dropDatabase(url: DatabaseUrl, name: string): Promise<void> {
  return run(url, `drop the database ${name}`, `DROP DATABASE IF EXISTS ${quoteName(name)}`);
}

/** The database that the URL names need not be there. */
async function run({ connection }: DatabaseUrl, action: string, text: string): Promise<void> {
  await using connections = new MysqlConnections({ ...connection, database: 'information_schema' }, 1);
  const doing = { action, database: connection.database, user: connection.user };
  await connections.use(doing, undefined, (client) => client.change(text));
}
