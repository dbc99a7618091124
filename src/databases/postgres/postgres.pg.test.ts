/** PostgreSQL keeps the contract of a database. */

import { afterAll } from 'vitest';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { type ContractDialect, describeDatabase } from '../database.contract.ts';
import { quoteName } from './sql.ts';

let server: PostgresServer | undefined;

const dialect: ContractDialect = {
  text: 'text',
  longText: 'text',
  json: 'jsonb',
  caseless: 'text COLLATE caseless',
  uuid: 'uuid',
  generated: "path text GENERATED ALWAYS AS ('image/' || id::text) STORED",
  quote: quoteName,
  createRole: (role, password) => `CREATE ROLE ${role} LOGIN PASSWORD '${password}'`,
  grantColumns: (select, update, table, role) =>
    `GRANT SELECT (${select.join(', ')})${update.length > 0 ? `, UPDATE (${update.join(', ')})` : ''} ON ${table} TO ${role}`,
  dropRole: (role) => `DROP OWNED BY ${role}; DROP ROLE ${role}`,
  createTrigger: (name, table) =>
    `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
     CREATE TRIGGER other_column BEFORE UPDATE OF id ON ${table} FOR EACH ROW EXECUTE FUNCTION ${name}();
     CREATE TRIGGER on_insert BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION ${name}();
     CREATE TRIGGER ${name} BEFORE UPDATE OF path ON ${table} FOR EACH ROW EXECUTE FUNCTION ${name}()`,
  waiting: "SELECT count(*) AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
  killOthers: (database) =>
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}' AND application_name = 'longshore'`,
};

describeDatabase('PostgreSQL', dialect, async () => {
  server = await postgresServer();
  const database = await server.createDatabase();
  await database.sql(
    "CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level1', deterministic = false)",
  );
  return database;
});

afterAll(() => server?.[Symbol.asyncDispose]());
