/** Passwords of whatever characters: they connect, and no other process, log, message or object ever has them. */

import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mariadbAvailable, mariadbServer } from '../servers/mariadb.ts';
import { installedPgDump } from '../servers/pg-dump.ts';
import { postgresServer } from '../servers/postgres.ts';
import {
  type BackupWorld,
  BUCKET,
  createBackupWorld,
  descendants,
  type ProcessSeen,
} from '../worlds/backup-world.ts';
import { runProgram } from './world.ts';

const onLinux = process.platform === 'linux';
if (!onLinux) console.warn('skipped: passwords in the process list; it is read from /proc, which Linux has');
const hasClient = (await installedPgDump()) !== undefined;

/** Its letters stay as they are however it is quoted, escaped or encoded. */
const TOKEN = 'hush7Zq';
const PASSWORD = `'"$\`!;:@/%#& >äß€😀\\${TOKEN}`;
const SAMPLE_EVERY_MS = 5;

/** Where the program is told the password. */
interface Given {
  readonly how: string;
  /** Whether the program itself has it among its arguments or in its environment. */
  readonly inProgram: boolean;
  readonly url: (database: URL) => string;
  readonly env?: Record<string, string>;
  readonly file?: { readonly name: string; readonly text: (database: URL) => string };
}

let world: BackupWorld;
const all = new AsyncDisposableStack();
beforeAll(async () => {
  world = all.use(await createBackupWorld());
});
afterAll(() => all.disposeAsync());

const withUser = (password: string) => (database: URL) => {
  const url = new URL(database);
  url.username = 'keeper';
  url.password = password;
  return url.href;
};
const inUrl: Given = { how: 'url', inProgram: true, url: withUser(encodeURIComponent(PASSWORD)) };

async function backUpRestoreAndDrill(
  given: Given,
  source: URL,
  copy: URL,
  programs: readonly string[],
): Promise<void> {
  const { how, env = {}, file } = given;
  if (file !== undefined) {
    writeFileSync(join(world.folder, file.name), file.text(source));
    chmodSync(join(world.folder, file.name), 0o600);
  }
  const seen = new Set<string>();
  const found: string[] = [];
  const isIn = (bytes: Buffer): boolean => bytes.includes(TOKEN) || bytes.includes(PASSWORD);
  const look = ({ commandLine, environment }: ProcessSeen): void => {
    const line = commandLine.toString('utf8').replaceAll('\0', ' ');
    seen.add(basename(line.split(' ')[0]!));
    if (given.inProgram && line.includes('longshore.mjs')) return;
    if (isIn(commandLine) || isIn(environment)) found.push(line);
  };
  const timer = setInterval(() => {
    for (const process of descendants()) look(process);
  }, SAMPLE_EVERY_MS);
  const from = `s3://${BUCKET}/${how}/`;
  try {
    for (const args of [
      ['backup', '--database', given.url(source), '--to', from, '--compression', '0'],
      ['restore', '--from', from, '--to', given.url(copy)],
      ['drill', '--from', from],
    ]) {
      const { code, stdout, stderr } = await runProgram(world, args, env);
      expect(code, `${how}: ${args[0]}: ${stderr}`).toBe(0);
      expect(isIn(Buffer.from(stdout + stderr)), `${how}: what ${args[0]} says`).toBe(false);
    }
  } finally {
    clearInterval(timer);
    if (file !== undefined) rmSync(join(world.folder, file.name));
  }
  expect(found, how).toEqual([]);
  expect([...seen]).toEqual(expect.arrayContaining([...programs]));
  for (const key of await world.keys('')) {
    const { head, body } = (await world.store.get({ key }))!;
    expect(isIn(await buffer(body)) || JSON.stringify(head).includes(TOKEN), key).toBe(false);
  }
  for (const entry of readdirSync(world.folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) expect(isIn(readFileSync(path)), path).toBe(false);
  }
}

test.skipIf(!onLinux || !hasClient)('of PostgreSQL', async () => {
  const server = all.use(await postgresServer());
  const source = await server.createDatabase();
  await source.sql(
    `CREATE ROLE keeper SUPERUSER LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}';
     CREATE TABLE items AS SELECT i AS id, repeat(md5(i::text), 20) AS v FROM generate_series(1, 20000) i`,
  );
  const colons = (text: string) => text.replace(/[\\:]/g, '\\$&');
  for (const given of [
    inUrl,
    { how: 'variable', inProgram: true, url: withUser(''), env: { PGPASSWORD: PASSWORD } },
    {
      how: 'file',
      inProgram: false,
      url: withUser(''),
      file: {
        name: '.pgpass',
        text: ({ hostname, port }) => `# of a test\n${hostname}:${port}:*:keeper:${colons(PASSWORD)}\n`,
      },
    },
  ] satisfies Given[]) {
    const copy = await server.createDatabase();
    await backUpRestoreAndDrill(given, new URL(source.url), new URL(copy.url), [
      'pg_dump',
      'pg_restore',
      'postgres',
    ]);
  }
});

describe.skipIf(!onLinux || !mariadbAvailable())('with a server', () => {
  test('of MariaDB', async () => {
    const server = all.use(await mariadbServer());
    const source = await server.createDatabase();
    await source.sql(
      `CREATE USER keeper@'127.0.0.1' IDENTIFIED BY '${PASSWORD.replace(/['\\]/g, '\\$&')}';
       GRANT ALL ON *.* TO keeper@'127.0.0.1' WITH GRANT OPTION;
       CREATE TABLE items (id int PRIMARY KEY, v text);
       INSERT INTO items WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         SELECT i, REPEAT(MD5(i), 500) FROM n`,
    );
    for (const given of [
      inUrl,
      { how: 'variable', inProgram: true, url: withUser(''), env: { MYSQL_PWD: PASSWORD } },
      {
        how: 'file',
        inProgram: false,
        url: withUser(''),
        file: {
          name: '.my.cnf',
          text: () => `[client]\npassword = "${PASSWORD.replace(/["\\]/g, '\\$&')}" # of a test\n`,
        },
      },
    ] satisfies Given[]) {
      const copy = await server.createDatabase();
      const named = { ...given, how: `mariadb-${given.how}` };
      const programs = ['mariadb-dump', 'mariadb', 'mariadbd'];
      await backUpRestoreAndDrill(named, new URL(source.url), new URL(copy.url), programs);
    }
  });
});
