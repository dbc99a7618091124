/** MySQL and MariaDB keep the contract of a database. */

import { afterAll, describe } from 'vitest';
import { type MariadbServer, mariadbAvailable, mariadbServer } from '../../../test/servers/mariadb.ts';
import { type ContractDialect, describeDatabase } from '../database.contract.ts';
import { quoteName } from './sql.ts';

let server: MariadbServer | undefined;

const dialect: ContractDialect = {
  text: 'text',
  longText: 'mediumtext',
  json: 'json',
  caseless: 'varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci',
  uuid: 'char(36)',
  generated: "path varchar(50) AS (CONCAT('image/', id)) STORED",
  quote: quoteName,
  createRole: (role, password) => `CREATE USER ${role}@'%' IDENTIFIED BY '${password}'`,
  grantColumns: (select, update, table, role) =>
    `GRANT SELECT (${select.join(', ')})${update.length > 0 ? `, UPDATE (${update.join(', ')})` : ''} ON ${table} TO ${role}@'%'`,
  dropRole: (role) => `DROP USER ${role}@'%'`,
  createTrigger: (name, table) =>
    `CREATE TRIGGER ${name} BEFORE UPDATE ON ${table} FOR EACH ROW SET NEW.path = NEW.path`,
  waiting: "SELECT COUNT(*) AS waiting FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'",
  killOthers: () => 'KILL USER test',
};

describe.skipIf(!mariadbAvailable())('with a server', () => {
  describeDatabase('MySQL and MariaDB', dialect, async () => {
    server = await mariadbServer();
    return server.createDatabase();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
});
