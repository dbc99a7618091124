import { expect, test } from 'vitest';
import {
  type MariadbTestDatabase,
  mariadbAvailable,
  mariadbServer,
} from '../../../../test/servers/mariadb.ts';
import { loadSakila, sakilaAvailable } from '../../../../test/worlds/sakila.ts';
import { parseDatabaseUrl } from '../../../config/database-url.ts';
import { Secret } from '../../../config/secret.ts';
import { applyMasking, checkMasking } from './apply-masking.ts';
import { parseMaskingRules } from './rules.ts';

function mask(url: string, text: string) {
  return applyMasking(parseDatabaseUrl(url), parseMaskingRules(text, 'mysql', 'masking.yaml'), {
    key: new Secret('a key'),
    emit: () => undefined,
    signal: new AbortController().signal,
  });
}

const one = async (database: MariadbTestDatabase, text: string) => {
  const value = Object.values((await database.sql(text))[0]!)[0];
  return value === null ? null : String(value);
};

const SHOP = `
  CREATE TABLE customers (
    id int PRIMARY KEY AUTO_INCREMENT, code varchar(20) NOT NULL UNIQUE, email varchar(40) UNIQUE, name varchar(12), first text, notes text,
    country char(2) NOT NULL, mood enum('sad', 'ok'), data json, token uuid, upper_name varchar(12) GENERATED ALWAYS AS (upper(name)) STORED,
    changed timestamp DEFAULT '2026-01-01' ON UPDATE CURRENT_TIMESTAMP, boss int, FOREIGN KEY (boss) REFERENCES customers (id));
  CREATE TABLE \`Orders.x\` (\`the id\` int, part varchar(30), customer varchar(20) NOT NULL, comment text, PRIMARY KEY (\`the id\`, part),
    FOREIGN KEY (customer) REFERENCES customers (code) ON UPDATE CASCADE ON DELETE CASCADE);
  CREATE TABLE order_lines (n int PRIMARY KEY, o int, p varchar(30), reader int, FOREIGN KEY (o, p) REFERENCES \`Orders.x\` (\`the id\`, part),
    FOREIGN KEY (reader) REFERENCES customers (id));
  CREATE TABLE logged (id int PRIMARY KEY, who varchar(20)); CREATE TABLE untouched (id int PRIMARY KEY);
  CREATE VIEW seen AS SELECT name FROM customers;
  CREATE TRIGGER logged_update BEFORE UPDATE ON logged FOR EACH ROW SET NEW.who = 'x';
  CREATE TABLE numbers (n int PRIMARY KEY); INSERT INTO numbers SELECT seq FROM seq_1_to_200;
  INSERT INTO customers (code, email, name, first, notes, country, mood, data, token, boss)
    SELECT CONCAT('code ', n), IF(n % 10 > 0, CONCAT('secret', n, '@corp.test'), NULL), CONCAT('Secret ', n), 'F', 'secret', 'AT', 'sad', '{}', UUID(),
      NULLIF(n DIV 2, 0) FROM numbers ORDER BY n;
  INSERT INTO \`Orders.x\` SELECT n, 'p', CONCAT('CODE ', n % 200 + 1), IF(n % 4 > 0, CONCAT('comment ', n), NULL) FROM numbers;
  INSERT INTO order_lines SELECT n, n, 'P', n FROM numbers;`;

test.skipIf(!mariadbAvailable())('masking and a subset on MariaDB', async () => {
  await using server = await mariadbServer();
  const database = await server.createDatabase();
  await database.sql(SHOP);
  const result = await mask(
    database.url,
    `
columns:
  customers.code: { hash: hex }
  customers.email: email
  customers.name: fake name
  customers.first: fake first name
  customers.notes: null
  customers.country: { constant: DE }
  customers.mood: { constant: ok }
  customers.data: null
  customers.token: hash
  '"Orders.x".comment': shuffle
  '"Orders.x".part': hash
`,
  );
  expect(result.tables.find(({ table }) => table === 'customers')?.columns).toContainEqual({
    name: 'email',
    rule: 'email',
    values: 180,
  });
  expect(
    await database.sql(`SELECT CONCAT_WS(' ', COUNT(DISTINCT email), COUNT(DISTINCT code), MAX(LENGTH(code)), SUM(name LIKE '%Secret%'), COUNT(notes), MAX(country),
      MAX(mood), COUNT(data), COUNT(DISTINCT token), COUNT(DISTINCT changed), SUM(upper_name = UPPER(name))) AS facts FROM customers`),
  ).toEqual([{ facts: '180 200 20 0 0 DE ok 0 200 1 200' }]);
  const joined =
    'FROM customers c JOIN `Orders.x` o ON o.customer = c.code JOIN order_lines l ON l.o = o.`the id` AND l.p = o.part';
  expect(await one(database, `SELECT COUNT(*) ${joined}`)).toBe('200');
  expect(
    await one(database, "SELECT CONCAT(COUNT(comment), ' ', COUNT(DISTINCT comment)) FROM `Orders.x`"),
  ).toBe('150 150');
  expect(
    Number(await one(database, "SELECT SUM(comment = CONCAT('comment ', `the id`)) FROM `Orders.x`")),
  ).toBeLessThan(40);
  await expect(
    mask(database.url, 'columns: { logged.who: hash, customers.id: hash, customers.cod: hash }'),
  ).rejects.toThrow(
    /logged.who cannot be masked: it has an UPDATE trigger.*customers has no column cod \(did you mean "code"\?\)|no column cod.*UPDATE trigger/,
  );
  const wrong = parseMaskingRules('columns: { logged.who: hash }', 'mysql', 'masking.yaml');
  const checked = checkMasking(parseDatabaseUrl(database.url), wrong, new AbortController().signal);
  await expect(checked).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  // 3 goes, and all below it; lines are only cut from their readers where those go.
  await mask(database.url, 'subset: { customers: id <> 3, order_lines: { set null: [reader] } }');
  const below = `WITH RECURSIVE gone (id) AS (SELECT 3 UNION ALL SELECT n FROM numbers JOIN gone ON n DIV 2 = id) SELECT COUNT(*) FROM gone`;
  const left = 200 - Number(await one(database, below));
  expect(await one(database, 'SELECT COUNT(*) FROM customers')).toBe(String(left));
  expect(await one(database, 'SELECT COUNT(*) FROM `Orders.x`')).toBe(String(left));
  expect(await one(database, 'SELECT COUNT(*) FROM order_lines')).toBe(String(left));
  expect(Number(await one(database, 'SELECT SUM(reader IS NULL) FROM order_lines'))).toBeGreaterThan(0);
  if (!sakilaAvailable()) return;
  const sakila = await server.createDatabase();
  await loadSakila(sakila.url);
  const stamps = 'SELECT CONCAT(MIN(last_update), MAX(last_update)) FROM customer';
  const before = await one(sakila, stamps);
  const { tables, foreignKeysProven } = await mask(
    sakila.url,
    `
columns: { customer.email: email, customer.last_name: fake last name, address.phone: hash, staff.password: null }
subset: { customer: customer_id % 10 = 0 }
`,
  );
  expect(await one(sakila, 'SELECT COUNT(*) FROM customer')).toBe('59');
  expect(await one(sakila, "SELECT COUNT(*) FROM customer WHERE email LIKE '%sakila%'")).toBe('0');
  expect(await one(sakila, stamps)).toBe(before);
  expect(tables.find(({ table }) => table === 'rental')?.deleted).toBeGreaterThan(14_000);
  expect(await one(sakila, 'SELECT COUNT(*) FROM film')).toBe('1000');
  expect(foreignKeysProven).toBeGreaterThan(8);
});
