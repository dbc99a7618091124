/** Makes a sample table and fills it, for trying Longshore out. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import type { ColumnRef } from '../database.ts';
import type { RowSeeder } from '../seed-rows.ts';
import { PostgresConnections } from './connections.ts';
import { quoteName } from './sql.ts';

export function postgresSeeder(url: DatabaseUrl, ref: ColumnRef): RowSeeder {
  const connections = new PostgresConnections(url.connection, 1);
  const table =
    ref.schema === undefined ? quoteName(ref.table) : `${quoteName(ref.schema)}.${quoteName(ref.table)}`;
  const column = quoteName(ref.column);
  const doing = { action: `seed ${ref.table}`, database: url.name, user: url.connection.user };
  return {
    async createTable() {
      await connections.use(doing, undefined, async (client) => {
        await client.query(
          `CREATE TABLE IF NOT EXISTS ${table} (id bigserial PRIMARY KEY, ${column} text NOT NULL)`,
        );
        await client.query(
          `CREATE INDEX IF NOT EXISTS ${quoteName(`${ref.table}_${ref.column}`)} ON ${table} (${column})`,
        );
      });
    },
    async insert(values) {
      await connections.use(doing, undefined, (client) =>
        client.query(`INSERT INTO ${table} (${column}) SELECT unnest($1::text[])`, [[...values]]),
      );
    },
    async finish() {
      await connections.use(doing, undefined, (client) => client.query(`ANALYZE ${table}`));
    },
    [Symbol.asyncDispose]: () => connections[Symbol.asyncDispose](),
  };
}
