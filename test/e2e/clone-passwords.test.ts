/** Passwords of whatever characters: clones are made with them, and no process, message or artifact ever has them. */

import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { liquibaseAvailable } from '../servers/liquibase.ts';
import { mariadbAvailable, mariadbServer } from '../servers/mariadb.ts';
import { installedPgDump } from '../servers/pg-dump.ts';
import { postgresServer } from '../servers/postgres.ts';
import { descendants } from '../worlds/backup-world.ts';
import { type CloneWorld, createCloneWorld, withoutPassword } from '../worlds/clone-world.ts';

const onLinux = process.platform === 'linux';
if (!onLinux) console.warn('skipped: passwords in the process list; it is read from /proc, which Linux has');
const hasClient = (await installedPgDump()) !== undefined;
const hasLiquibase = liquibaseAvailable();

/** Its letters stay as they are however it is quoted, escaped or encoded. */
const TOKEN = 'hush7Zq';
const PASSWORD = `'"$\`\\!;:@/%#& >äß€😀${TOKEN}`;
/** PostgreSQL's driver for Java, as the package of npm has it, takes no other characters. */
const FOR_JAVA = PASSWORD.replaceAll(/[^!-~]/g, '');
const SAMPLE_EVERY_MS = 10;

let world: CloneWorld;
const all = new AsyncDisposableStack();
beforeAll(() => {
  world = createCloneWorld();
  all.defer(() => world[Symbol.dispose]());
});
afterAll(() => all.disposeAsync());

/** How the program is told the password. */
type Given = { readonly env: Record<string, string> } | { readonly file: string; readonly text: string };

const isIn = (bytes: Buffer): boolean => bytes.includes(TOKEN);

/** Builds, plans, converges, lists and drops. @param url of the source, with another user @param modes of converging */
async function cloneAsKeeper(
  how: string,
  url: string,
  given: Given,
  modes: readonly ('clone' | 'create')[],
  programs: readonly string[],
): Promise<void> {
  const from = withoutPassword(url, 'keeper');
  const secretFile = 'file' in given ? join(world.folder, given.file) : undefined;
  if ('file' in given) {
    writeFileSync(secretFile!, given.text);
    chmodSync(secretFile!, 0o600);
  }
  const tag = `${how}:1`;
  writeFileSync(join(world.folder, 'changelog.sql'), CHANGELOG);
  writeFileSync(join(world.folder, 'masking.yaml'), 'columns: { items.v: hash }\n');
  writeFileSync(
    join(world.folder, 'artifact-config.ini'),
    `[source_db]\nsource_db_url = ${from}\nliquibase_changelog_path = changelog.sql\n[target_db]\nmasking_path = masking.yaml\n`,
  );
  const [found, seen] = [[] as string[], new Set<string>()];
  const look = (): void => {
    for (const { commandLine, environment } of descendants()) {
      const line = commandLine.toString('utf8').replaceAll('\0', ' ');
      seen.add(basename(line.split(' ')[0]!));
      // The program itself is given it so, where it is.
      const isToldIt = 'env' in given && line.includes('longshore.mjs');
      if (isIn(commandLine) || (isIn(environment) && !isToldIt)) found.push(line);
    }
  };
  const timer = setInterval(look, SAMPLE_EVERY_MS);
  const [on, copy] = [['--on', from], `${how}_copy`];
  try {
    for (const args of [
      ['build', 'artifact-config.ini', '--tag', tag],
      ...modes.flatMap((mode) => {
        const converge = ['converge', tag, '--mode', mode, '--name', copy, '--json'];
        return [
          // Java looks at the changelog before, anyway.
          ...(mode === 'clone' ? [[...converge, '--plan']] : []),
          [...converge, ...(mode === 'clone' ? ['--compare'] : [])],
          ['list', ...on],
          ['drop', copy, ...on],
        ];
      }),
    ]) {
      const { code, stdout, stderr } = await world.clone(args, 'env' in given ? given.env : {});
      expect(code, `${how}: ${args.join(' ')}: ${stdout}${stderr}`).toBe(0);
      expect(isIn(Buffer.from(stdout + stderr)), `${how}: what ${args[0]} says`).toBe(false);
    }
  } finally {
    clearInterval(timer);
    if (secretFile !== undefined) rmSync(secretFile);
  }
  const wrong = await world.clone(['--from', from, '--name', copy], {
    PGPASSWORD: `${PASSWORD}!`,
    MYSQL_PWD: `${PASSWORD}!`,
  });
  expect(wrong.code).toBe(3);
  expect(isIn(Buffer.from(wrong.stdout + wrong.stderr)), `${how}: what is said of a wrong one`).toBe(false);
  expect(found, how).toEqual([]);
  expect([...seen]).toEqual(expect.arrayContaining([...programs]));
  expect(world.temporary()).toEqual([]);
}

const CHANGELOG = `--liquibase formatted sql
--changeset shop:1
CREATE TABLE items (id int PRIMARY KEY, v varchar(100));
`;

test.skipIf(!onLinux || !hasClient)('of PostgreSQL', async () => {
  await using server = await postgresServer();
  const source = await server.createDatabase();
  const keeper = async (password: string): Promise<string> => {
    await source.sql(`ALTER ROLE keeper PASSWORD '${password.replaceAll("'", "''")}'`);
    return password;
  };
  await source.sql(
    `CREATE ROLE keeper SUPERUSER LOGIN;
     CREATE TABLE items AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1, 5000) i`,
  );
  const { hostname, port } = new URL(source.url);
  const text = `${hostname}:${port}:*:keeper:${(await keeper(PASSWORD)).replace(/[\\:]/g, '\\$&')}\n`;
  await cloneAsKeeper('file', source.url, { file: '.pgpass', text }, ['clone'], ['pg_dump']);
  const env = { DB_PASSWORD: await keeper(FOR_JAVA), PGPASSWORD: FOR_JAVA };
  const modes = ['clone', ...(hasLiquibase ? ['create' as const] : [])] as const;
  await cloneAsKeeper('variable', source.url, { env }, modes, ['pg_dump', ...(hasLiquibase ? ['java'] : [])]);
});

describe.skipIf(!onLinux || !mariadbAvailable())('with a server', () => {
  test('of MariaDB', async () => {
    await using server = await mariadbServer();
    const source = await server.createDatabase();
    await source.sql(
      `CREATE USER keeper@'127.0.0.1' IDENTIFIED BY '${PASSWORD.replace(/['\\]/g, '\\$&')}';
       GRANT ALL ON *.* TO keeper@'127.0.0.1' WITH GRANT OPTION;
       CREATE TABLE items (id int PRIMARY KEY, v varchar(100));
       INSERT INTO items VALUES (1, 'a'), (2, 'b')`,
    );
    const env = { DB_PASSWORD: PASSWORD, MYSQL_PWD: PASSWORD };
    const modes = ['clone', ...(hasLiquibase ? ['create' as const] : [])] as const;
    await cloneAsKeeper('mariadb', source.url, { env }, modes, [
      'mariadb-dump',
      ...(hasLiquibase ? ['java'] : []),
    ]);
  });
});

test.skipIf(!onLinux)('afterwards: no file, and no layer of an artifact', () => {
  for (const entry of readdirSync(world.folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = readFileSync(path);
    expect(isIn(bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes), path).toBe(false);
  }
});
