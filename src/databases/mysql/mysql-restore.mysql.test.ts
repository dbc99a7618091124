/** What was dumped comes back, and what did not is seen: sakila, and tables of everything that is hard to write down. */

import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type MariadbServer,
  type MariadbTestDatabase,
  mariadbAvailable,
  mariadbServer,
} from '../../../test/servers/mariadb.ts';
import { loadSakila, sakilaAvailable } from '../../../test/worlds/sakila.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import type { DumpFacts, RestoreTarget } from '../dump.ts';
import { prepareMysqlDump } from './mysql-dump.ts';
import { openMysqlRestoreTarget } from './mysql-restore.ts';

const BATTERY = `
  CREATE TABLE kinds (
    id int PRIMARY KEY, bt bit(10), day date, at datetime(6), stamp timestamp NULL, bytes blob,
    doc json, txt text CHARACTER SET utf8mb4, old varchar(20) CHARACTER SET latin1, exact decimal(40,20),
    single float, dbl double, kind enum('a','b''c'), marks set('x','y'), big bigint unsigned, fixed binary(4),
    twice int GENERATED ALWAYS AS (id * 2) VIRTUAL, label varchar(60) GENERATED ALWAYS AS (concat('(', id, ''')')) STORED,
    KEY (at), UNIQUE KEY \`odd key\` (big));
  INSERT INTO kinds (id, bt, day, at, stamp, bytes, doc, txt, old, exact, single, dbl, kind, marks, big, fixed) VALUES
    (0, b'1000000001', '0000-00-00', '0000-00-00 00:00:00', '2038-01-19 03:14:07', x'${Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('hex')}',
     '{"a": "\\\\u00e9\\\\n😀", "b": [1, 2.50]}', '😀 \\\\ '' " ; ) ( \\n\\r\\t\\0 \\Z -- x /* y */', 'é€', 12345678901234567890.12345678901234567890,
     1.5, 0.1, 'b''c', 'x,y', 18446744073709551615, x'00ff0a27'),
    (7, NULL, '1000-01-01', '9999-12-31 23:59:59.999999', NULL, '', NULL, '', NULL, -0.00000000000000000001, -3.4e38, 5e-324, NULL, '', 0, x'00000000'),
    (8, b'0', '2024-02-29', NULL, NULL, NULL, '[]', 'NULL', 'NULL', 0, 0, 1.7976931348623157e308, 'a', NULL, NULL, NULL);
  CREATE TABLE \`odd \`\`na'"me ü;(\` (\`c \`\`V'"ol ü(\` int, \`VALUES\` varchar(30) DEFAULT 'a;)''\\\\', KEY \`i\`\`x\` (\`VALUES\`));
  INSERT INTO \`odd \`\`na'"me ü;(\` VALUES (1, 'x'), (1, 'x'), (2, '),('), (3, ''';');
  CREATE TABLE \`empty\` (a int, b text);
  CREATE TABLE log (a int, b varchar(100)) ENGINE=MyISAM;
  INSERT INTO log VALUES (1, 'one'), (1, 'one');
  CREATE TABLE wide (id int PRIMARY KEY, a longtext, b longblob);
  INSERT INTO wide VALUES (1, REPEAT('ab''\\\\\\n', 700000), REPEAT(x'00ff', 1000000)), (2, 'small', x'27');
  CREATE TABLE zero (id int PRIMARY KEY AUTO_INCREMENT);
  SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; INSERT INTO zero VALUES (0), (5); SET sql_mode = '';
  CREATE TABLE parent (id int PRIMARY KEY) ENGINE=InnoDB;
  CREATE TABLE child (id int PRIMARY KEY, parent int, CONSTRAINT belongs FOREIGN KEY (parent) REFERENCES parent (id), CHECK (id > 0)) ENGINE=InnoDB;
  INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1);
  CREATE TRIGGER counted AFTER INSERT ON child FOR EACH ROW SET @counted = 'a;b';
  CREATE PROCEDURE fill() BEGIN\r\n  -- a comment; 'with\r\n  INSERT INTO \`empty\` VALUES (1, 'x');\r\nEND;
  CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2;
  CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM \`empty\`;
  CREATE VIEW totals AS SELECT count(*) AS n, twice(max(id)) AS m FROM kinds;
  CREATE DEFINER='gone'@'nowhere' VIEW orphan AS SELECT id FROM parent;
`;

describe.skipIf(!mariadbAvailable())('a restore of MySQL or MariaDB', () => {
  let server: MariadbServer;
  let mariadb: boolean;
  const never = new AbortController().signal;

  beforeAll(async () => {
    server = await mariadbServer();
    const [row] = await (await server.createDatabase()).sql('SELECT VERSION() AS version');
    mariadb = String(row!['version']).includes('MariaDB');
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());

  async function dumped(
    database: MariadbTestDatabase,
  ): Promise<{ script: Buffer; facts: DumpFacts; accounts: readonly string[] }> {
    await using dump = await prepareMysqlDump(parseDatabaseUrl(database.url, {}), {}, never);
    const script = await buffer(dump.stream(never));
    return { script, facts: dump.facts(), accounts: dump.accounts };
  }

  const open = (database: MariadbTestDatabase): Promise<RestoreTarget> =>
    openMysqlRestoreTarget(parseDatabaseUrl(database.url, {}), {});

  const restore = (target: RestoreTarget, script: Buffer | string) =>
    target.restore(Readable.from([Buffer.from(script)]), 'plain', never);

  it.skipIf(!sakilaAvailable())('brings sakila back with all that is in it', async () => {
    const source = await server.createDatabase();
    await loadSakila(source.url);
    const { script, facts } = await dumped(source);
    const copy = await server.createDatabase();
    await using target = await open(copy);
    expect(await target.contents()).toEqual([]);
    await restore(target, script);
    expect(await target.facts(facts, never)).toEqual(facts);
    expect(facts.tables.length).toBeGreaterThan(15);
    expect(facts.tables.reduce((sum, { rows }) => sum + rows, 0)).toBeGreaterThan(46_000);
    expect(facts.objects).toEqual(
      expect.arrayContaining([
        'view actor_info',
        'procedure film_in_stock',
        'function inventory_in_stock',
        'trigger film.ins_film',
        'index film.PRIMARY',
        'foreign key city.fk_city_country',
      ]),
    );
    expect(await target.contents()).toEqual(expect.arrayContaining(['table film', 'view actor_info']));
    expect(await target.ask('SELECT first_name FROM actor_info ORDER BY actor_id', never)).toBe('PENELOPE');
    for (const change of ['DROP TRIGGER ins_film', 'DROP TABLE film_text', 'DROP VIEW staff_list']) {
      await copy.sql(change);
      expect(await target.facts(facts, never)).not.toEqual(facts);
    }
  });

  it('brings every kind of value, name and object back under another name', async () => {
    const source = await server.createDatabase();
    await source.sql(`SET SESSION sql_mode = ''; ${BATTERY}`);
    if (mariadb)
      await source.sql('CREATE SEQUENCE numbers START WITH 7 INCREMENT BY 3; SELECT NEXTVAL(numbers)');
    // What was made under another collation is wrapped into ALTER DATABASE, with the name of the database.
    await source.sql(`ALTER DATABASE ${source.name} CHARACTER SET latin1`);
    const { script, facts, accounts } = await dumped(source);
    expect(script.includes(`ALTER DATABASE \`${source.name}\``)).toBe(true);
    const rows = Object.fromEntries(facts.tables.map(({ name, rows }) => [name, rows]));
    expect(rows).toEqual({
      child: 1,
      empty: 0,
      kinds: 3,
      log: 2,
      'odd `na\'"me ü;(': 4,
      parent: 1,
      wide: 2,
      zero: 2,
    });
    const [procedure] = await source.sql('SHOW CREATE PROCEDURE fill');
    // Nothing that came back asks for it.
    await source.sql(`DROP DATABASE ${source.name}`);

    const copy = await server.createDatabase();
    await using target = await open(copy);
    expect(await target.missingAccounts(accounts)).toEqual(['gone@nowhere']);
    await restore(target, script);
    expect(await target.facts(facts, never)).toEqual(facts);
    expect(Object.keys(facts.sequences)).toEqual(mariadb ? ['numbers'] : []);
    expect(JSON.stringify(facts)).not.toContain(source.name);
    expect(facts.objects).toEqual(
      expect.arrayContaining([
        'trigger child.counted',
        'event nightly',
        'view orphan',
        'foreign key child.belongs',
        'index `odd ``na\'"me ü;(`.`i``x`',
      ]),
    );
    expect(await target.ask('SELECT m FROM totals', never)).toBe('16');
    expect(await target.ask('SELECT id FROM parent WHERE id = 9', never)).toBeUndefined();
    const [restored] = await copy.sql('SHOW CREATE PROCEDURE fill');
    expect(restored!['Create Procedure']).toBe(procedure!['Create Procedure']);

    const changes = [
      "UPDATE kinds SET txt = CONCAT(txt, ' ') WHERE id = 7",
      'DELETE FROM log LIMIT 1',
      "INSERT INTO `empty` VALUES (NULL, '')",
      "UPDATE wide SET b = CONCAT(b, x'00') WHERE id = 1",
      'DROP TRIGGER counted',
      'DROP EVENT nightly',
      'DROP TABLE wide',
      ...(mariadb ? ['SELECT NEXTVAL(numbers) FROM seq_1_to_2000'] : []),
    ];
    let before = facts;
    for (const change of changes) {
      await copy.sql(change);
      const after = await target.facts(facts, never);
      expect(after, change).not.toEqual(before);
      before = after;
    }
  });

  it('stops at the first error, and names it with its line', async () => {
    const copy = await server.createDatabase();
    await using target = await open(copy);
    const script =
      "/*M!999999\\- enable the sandbox mode */ \nCREATE TABLE t (a varchar(20) UNIQUE);\nINSERT INTO t VALUES ('secret'),('secret');\nCREATE TABLE later (a int);\n";
    const failed = await restore(target, script).catch((error: unknown) => error);
    expect(failed).toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringMatching(/ERROR 1062 \(23000\) at line 3/),
    });
    expect(String(failed)).not.toContain('secret');
    expect(await target.contents()).toEqual(['table t']);
    // An error while most of the dump has not been read.
    const long = Buffer.concat([
      Buffer.from('CREATE TABLE t (a int);\n'),
      Buffer.alloc(8_000_000, '-- filler\n'),
    ]);
    await expect(restore(target, long)).rejects.toThrow(
      /ERROR 1050 \(42S01\) at line 1: Table 't' already exists/,
    );
    await expect(target.restore(Readable.from([]), 'custom', never)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  it('runs no commands of the client that stand in a script', async () => {
    await using target = await open(await server.createDatabase());
    await expect(
      restore(target, 'SELECT 1;\n\\! touch /tmp/longshore-was-here\nSELECT 2;\n'),
    ).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
    });
  });

  it('ends with the stream that fails, and on abort', async () => {
    const copy = await server.createDatabase();
    await using target = await open(copy);
    const broken = new Error('the bucket is gone');
    async function* half() {
      yield Buffer.from(
        `-- Host: x    Database: y\n${'-- filler\n'.repeat(1000)}CREATE TABLE made (a int);\nINSERT INTO made VALUES (1),`,
      );
      throw broken;
    }
    await expect(target.restore(Readable.from(half()), 'plain', never)).rejects.toBe(broken);
    const stop = new AbortController();
    const reason = new Error('stopped');
    const endless = new Readable({ read() {} });
    endless.push(Buffer.from('-- nothing more comes\n'));
    const waiting = target.restore(endless, 'plain', stop.signal);
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    const during = new AbortController();
    const sleeping = target.restore(
      Readable.from([Buffer.from('SELECT SLEEP(600);\n')]),
      'plain',
      during.signal,
    );
    await expect
      .poll(
        async () =>
          (await copy.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP%'"))
            .length,
      )
      .toBe(1);
    during.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  });

  it('says what a user lacks who may not set a definer', async () => {
    const source = await server.createDatabase();
    await source.sql("CREATE TABLE t (a int); CREATE DEFINER='gone'@'nowhere' VIEW v AS SELECT a FROM t");
    const { script, accounts } = await dumped(source);
    const copy = await server.createDatabase();
    const name = `w${Date.now().toString(36)}`;
    await copy.sql(`CREATE USER ${name}@'%' IDENTIFIED BY 'pw'; GRANT ALL ON ${copy.name}.* TO ${name}@'%'`);
    const url = copy.url.replace(/\/\/[^@]*@/, `//${name}:pw@`);
    await using target = await openMysqlRestoreTarget(parseDatabaseUrl(url, {}), {});
    expect(await target.missingAccounts(accounts)).toEqual([]);
    await expect(restore(target, script)).rejects.toMatchObject({
      message: expect.stringMatching(/ERROR 1227 .* at line \d+: Access denied/),
      hint: expect.stringContaining('definer'),
    });
    await copy.sql(`DROP USER ${name}@'%'`);
  });
});
