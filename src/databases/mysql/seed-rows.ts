/** Makes a sample table and fills it, for trying Longshore out. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import type { ColumnRef } from '../database.ts';
import type { RowSeeder } from '../seed-rows.ts';
import { MysqlConnections } from './connections.ts';
import { quoteName, quoteText } from './sql.ts';

export function mysqlSeeder(url: DatabaseUrl, ref: ColumnRef): RowSeeder {
  const connections = new MysqlConnections(url.connection, 1);
  const table =
    ref.schema === undefined ? quoteName(ref.table) : `${quoteName(ref.schema)}.${quoteName(ref.table)}`;
  const column = quoteName(ref.column);
  const doing = { action: `seed ${ref.table}`, database: url.name, user: url.connection.user };
  const run = async (sql: string): Promise<void> => {
    await connections.use(doing, undefined, (client) => client.change(sql));
  };
  return {
    createTable: () =>
      run(
        `CREATE TABLE IF NOT EXISTS ${table} (id BIGINT AUTO_INCREMENT PRIMARY KEY, ${column} VARCHAR(700) NOT NULL, KEY ${quoteName(`${ref.table}_${ref.column}`)} (${column})) CHARACTER SET utf8mb4`,
      ),
    insert: (values) =>
      run(
        `INSERT INTO ${table} (${column}) VALUES ${values.map((value) => `(${quoteText(value)})`).join(',')}`,
      ),
    finish: async () => undefined,
    [Symbol.asyncDispose]: () => connections[Symbol.asyncDispose](),
  };
}
