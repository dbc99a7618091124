/** A dump ends only when it is whole: what programs that fail, hang or are killed make of it. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type MariadbServer,
  type MariadbTestDatabase,
  mariadbAvailable,
  mariadbServer,
} from '../../../test/servers/mariadb.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { isAlive } from '../../flow/is-alive.ts';
import type { PreparedDump } from '../dump.ts';
import { prepareMysqlDump } from './mysql-dump.ts';
import { openMysqlRestoreTarget } from './mysql-restore.ts';

describe.skipIf(!mariadbAvailable())('a dump of MySQL or MariaDB', () => {
  let server: MariadbServer;
  let shop: MariadbTestDatabase;
  let product: string;
  let folder: string;
  const never = new AbortController().signal;

  beforeAll(async () => {
    server = await mariadbServer();
    shop = await server.createDatabase();
    await shop.sql('CREATE TABLE t (a int); CREATE TABLE u (a int); INSERT INTO t VALUES (1), (2)');
    const [row] = await shop.sql('SELECT VERSION() AS version');
    product = String(row!['version']).includes('MariaDB') ? 'MariaDB' : 'MySQL';
  });
  afterAll(async () => server?.[Symbol.asyncDispose]());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'longshore-fake-'));
    return () => rmSync(folder, { recursive: true });
  });

  const prepare = (clientFolder?: string, url = shop.url) =>
    prepareMysqlDump(parseDatabaseUrl(url, {}), { clientFolder }, never);

  /** A program that writes the script's lines, and then does something else. */
  function fake(then: string): Promise<PreparedDump> {
    const version = product === 'MariaDB' ? 'from 99.1.0-MariaDB, client 10' : 'Ver 99.1.0 for Linux';
    const program = `#!/bin/sh
case "$*" in *--version*) echo "mysqldump ${version}"; exit 0;; esac
echo $$ > ${folder}/pid.part && mv ${folder}/pid.part ${folder}/pid
printf 'CREATE TABLE \`t\` (\\n);\\nINSERT INTO \`t\` VALUES (1);\\n'
${then}
`;
    writeFileSync(join(folder, 'mysqldump'), program, { mode: 0o755 });
    return prepare(folder);
  }

  async function read(dump: PreparedDump, signal = never): Promise<string> {
    const parts: Buffer[] = [];
    for await (const part of dump.stream(signal)) parts.push(part);
    return Buffer.concat(parts).toString();
  }

  // There with its number in it: the program gives the file its name when it is written.
  const pid = () => Number(readFileSync(join(folder, 'pid'), 'utf8'));
  const optionFolders = () =>
    readdirSync(tmpdir()).filter(
      (name) => name.startsWith('longshore-mysql-client-') && name.includes(`-${process.pid}-`),
    );
  const OTHER = "printf 'CREATE TABLE `u` (\\n);\\n'";
  const END = "printf '\\n-- Dump completed on 2026-01-01\\n'";

  it.each([
    [
      'ends with a code',
      `${OTHER}; ${END}; echo 'Error 2013: Lost connection' >&2; exit 2`,
      /code 2: Error 2013: Lost connection/,
    ],
    ['is killed', `${OTHER}; ${END}; kill -9 $$`, /ended by SIGKILL/],
    ['closes its output early', `${OTHER}; exec 1>&-; sleep 0.2; exit 0`, /before the last line/],
    ['leaves out its last line', OTHER, /before the last line/],
    ['leaves out a table', END, /no table u/],
    ['cannot be read', "printf 'INSERT INTO `x` VALUES (1);\\n'", /rows of x before the table/],
  ])('fails where the program %s', async (_, then, message) => {
    await using dump = await fake(then);
    await expect(read(dump)).rejects.toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringMatching(message),
    });
    expect(() => dump.facts()).toThrow('not ended');
    expect(optionFolders()).toEqual([]);
  });

  it('ends where the program does it all, and says what was in it', async () => {
    await using dump = await fake(`${OTHER}; ${END}`);
    expect(dump).toMatchObject({
      format: 'plain',
      extension: '.sql',
      client: { version: '99.1.0' },
      server: { product },
    });
    expect(dump.client.path).toBe(join(folder, 'mysqldump'));
    expect(await read(dump)).toContain('Dump completed');
    expect(dump.facts().tables.map(({ schema, name, rows }) => [schema, name, rows])).toEqual([
      ['', 't', 1],
      ['', 'u', 0],
    ]);
    expect(() => dump.stream(never)).toThrow('once');
    expect(await dump.globals(never)).toBeUndefined();
    expect(optionFolders()).toEqual([]);
  });

  it('is gone with its program after an abort, also of one that does not end when it is asked to', async () => {
    await using dump = await fake("trap '' TERM; while :; do sleep 1; done");
    const stop = new AbortController();
    const reading = read(dump, stop.signal);
    await expect.poll(() => existsSync(join(folder, 'pid'))).toBe(true);
    expect(optionFolders()).toHaveLength(1);
    const reason = new Error('stopped');
    stop.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect(isAlive(pid())).toBe(false);
    expect(optionFolders()).toEqual([]);
  });

  it('is gone with its program when it is destroyed', async () => {
    await using dump = await fake('exec sleep 60');
    const stream = dump.stream(never);
    await expect.poll(() => existsSync(join(folder, 'pid'))).toBe(true);
    stream.destroy();
    await new Promise((resolve) => stream.once('close', resolve));
    expect(isAlive(pid())).toBe(false);
    expect(optionFolders()).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('waits for a reader that is slow', async () => {
    await using dump = await fake('exec yes line');
    const stream = dump.stream(never);
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    const written = () => Number(/wchar: (\d+)/.exec(readFileSync(`/proc/${pid()}/io`, 'utf8'))![1]);
    const looks: number[] = [];
    await expect
      .poll(() => looks.push(written()) > 1 && looks.at(-1) === looks.at(-2), { interval: 200 })
      .toBe(true);
    // Four pieces of a megabyte, the one that is being filled, and what the pipe holds.
    expect(looks.at(-1)).toBeLessThan(8 * 1024 * 1024);
    await reader.return!();
  });

  it('has one format', async () => {
    await expect(
      prepareMysqlDump(parseDatabaseUrl(shop.url, {}), { format: 'custom' }, never),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('gives up a table that another session has locked', async () => {
    await using other = await shop.session();
    await other.sql('LOCK TABLES t WRITE');
    await using dump = await prepareMysqlDump(parseDatabaseUrl(shop.url, {}), { lockWaitMs: 1000 }, never);
    await expect(read(dump)).rejects.toMatchObject({
      code: 'DATABASE_CONFLICT',
      message: expect.stringContaining('locked by another session for more than 1 s'),
    });
    await other.sql('UNLOCK TABLES');
    await using again = await prepareMysqlDump(parseDatabaseUrl(shop.url, {}), { lockWaitMs: 1000 }, never);
    await read(again);
    expect(again.facts().tables[0]?.rows).toBe(2);
  });

  it('names what is not consistent, what has to be there before, and how much there is', async () => {
    const odd = await server.createDatabase();
    await odd.sql(`CREATE TABLE log (a int, f float) ENGINE=MyISAM; CREATE TABLE t (a int);
      CREATE DEFINER='gone'@'nowhere' VIEW v AS SELECT a FROM t;
      CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @x = 1; INSERT INTO log VALUES (1, 1.5)`);
    await using dump = await prepare(undefined, odd.url);
    expect(dump.accounts).toContain('gone@nowhere');
    expect(dump.accounts).toHaveLength(2);
    expect(dump.notices.join('\n')).toMatch(/part: log \(MyISAM\)\n.*FLOAT.*: log\.f\n.*not protected/);
    expect(dump.bytesEstimate).toBeGreaterThan(0);
    const name = `r${Date.now().toString(36)}`;
    await odd.sql(
      `CREATE USER ${name}@'%' IDENTIFIED BY 'pw'; GRANT SELECT, LOCK TABLES, SHOW VIEW, EVENT ON ${odd.name}.* TO ${name}@'%'`,
    );
    await using less = await prepare(undefined, odd.url.replace(/\/\/[^@]*@/, `//${name}:pw@`));
    expect(less.notices[0]).toContain('no right to see them: triggers, procedures and functions');
    await odd.sql(
      `CREATE TABLE ${odd.name}.seen (i int); REVOKE SELECT ON ${odd.name}.* FROM ${name}@'%'; GRANT SELECT ON ${odd.name}.seen TO ${name}@'%'`,
    );
    await expect(prepare(undefined, odd.url.replace(/\/\/[^@]*@/, `//${name}:pw@`))).rejects.toMatchObject({
      code: 'DATABASE_DENIED',
      message: expect.stringContaining('tables that it does not see would be left out'),
    });
    await odd.sql(`DROP USER ${name}@'%'`);
  });

  it.runIf(process.platform === 'linux')('keeps the password out of arguments and environments', async () => {
    const password = `'"$\`!;:@/%#& >\\ßé漢😀`;
    const name = `u${Date.now().toString(36)}`;
    const literal = `'${password.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
    await shop.sql(
      `CREATE USER ${name}@'%' IDENTIFIED BY ${literal}; GRANT ALL ON *.* TO ${name}@'%' WITH GRANT OPTION`,
    );
    const url = new URL(shop.url);
    const own = `mysql://${name}:${encodeURIComponent(password)}@${url.host}${url.pathname}`;
    const target = await server.createDatabase();
    const seen: string[] = [];
    let stop = false;
    const sampling = (async () => {
      while (!stop) {
        for (const process of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
          try {
            for (const file of ['cmdline', 'environ'])
              seen.push(readFileSync(`/proc/${process}/${file}`, 'utf8'));
          } catch {
            // It has ended meanwhile.
          }
        }
        await delay(2);
      }
    })();
    {
      await using dump = await prepare(undefined, own);
      await using into = await openMysqlRestoreTarget(
        parseDatabaseUrl(own.replace(url.pathname, `/${target.name}`), {}),
        {},
      );
      await into.restore(dump.stream(never), 'plain', never);
      expect(await into.facts(dump.facts(), never)).toEqual(dump.facts());
    }
    stop = true;
    await sampling;
    await shop.sql(`DROP USER ${name}@'%'`);
    expect(seen.some((text) => /(dump|mariadb|mysql)\0--defaults-file=/.test(text))).toBe(true);
    expect(
      seen.filter((text) => text.includes(password) || text.includes(encodeURIComponent(password))),
    ).toEqual([]);
  });
});
