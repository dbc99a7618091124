/** Dump programs and connections that fail under `longshore backup`: nothing is there that is not whole, and it is told why. */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseDatabaseUrl } from '../../src/config/database-url.ts';
import { ClientAccess } from '../../src/databases/mysql/client-access.ts';
import { mariadbAvailable, mariadbServer } from '../servers/mariadb.ts';
import { installedPgDump } from '../servers/pg-dump.ts';
import { postgresServer, type TestSession } from '../servers/postgres.ts';
import {
  type BackupWorld,
  BIG_ROWS,
  BUCKET,
  createBackupWorld,
  descendants,
  type ProcessSeen,
  until,
} from '../worlds/backup-world.ts';
import { type ProgramResult, runProgram } from './world.ts';

const pgDump = await installedPgDump();

interface Engine {
  readonly url: string;
  /** Of the dump program. */
  readonly name: string;
  readonly path: string;
  sql(text: string): Promise<Record<string, unknown>[]>;
  session(): Promise<TestSession>;
  /** Locks the table that is dumped. */
  readonly lock: readonly string[];
  /** Ends the session that dumps. */
  readonly cut: string;
  /** What the server, or the program, says of that. */
  readonly isCut: RegExp;
  readonly isLocked: RegExp;
}

let world: BackupWorld;
const engines = new Map<string, Engine>();
const all = new AsyncDisposableStack();
beforeAll(async () => {
  world = all.use(await createBackupWorld());
  if (pgDump !== undefined) {
    const database = await all.use(await postgresServer()).createDatabase();
    await database.sql(
      `CREATE TABLE big AS SELECT i AS id, repeat(md5(i::text), 250) AS v FROM generate_series(1, ${BIG_ROWS}) i`,
    );
    engines.set('PostgreSQL', {
      ...database,
      name: pgDump.name,
      path: pgDump.path,
      lock: ['BEGIN', 'LOCK TABLE big IN ACCESS EXCLUSIVE MODE'],
      cut: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY %'`,
      isCut: /pg_dump ended with code 1: .*(terminating connection|server closed the connection)/s,
      isLocked: /public\.big \(by process \d+\) was locked by another session for more than 1 s/,
    });
  }
  if (mariadbAvailable()) {
    const database = await all.use(await mariadbServer()).createDatabase();
    await database.sql(
      `CREATE TABLE big (id int PRIMARY KEY, v text);
       INSERT INTO big WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < ${BIG_ROWS / 8})
         SELECT i, REPEAT(MD5(i), 2000) FROM n`,
    );
    await using access = await ClientAccess.open(parseDatabaseUrl(database.url, {}), undefined);
    const { name, path } = await access.client('dump');
    engines.set('MariaDB', {
      ...database,
      name,
      path,
      lock: ['LOCK TABLES big WRITE'],
      cut: `BEGIN NOT ATOMIC FOR one IN (SELECT ID FROM information_schema.PROCESSLIST
          WHERE DB = '${database.name}' AND INFO LIKE 'SELECT /*!%') DO KILL one.ID; END FOR; END`,
      isCut: /ended with code \d: .*(Lost connection|gone away|killed)/is,
      isLocked: /locked by another session/,
    });
  }
});
afterAll(() => all.disposeAsync());

let prefix: string;
let number = 0;
beforeEach(() => {
  prefix = `shop${++number}/`;
  world.proxy.clear();
});

const args = ({ url }: Engine, ...more: string[]) => [
  ...['backup', '--database', url, '--to', `s3://${BUCKET}/${prefix}`, '--compression', '0', ...more],
];

/** A client that runs the real one in a way of its own. */
function wrapper({ name, path }: Engine, how: string): string {
  const folder = join(world.folder, `clients${number}-${how.length}`);
  mkdirSync(folder, { recursive: true });
  const script = `#!/bin/sh\ncase "$*" in *--version*) exec ${path} "$@";; esac\n${how.replace('DUMP', `${path} "$@"`)}\n`;
  writeFileSync(join(folder, name), script, { mode: 0o755 });
  return folder;
}

/** Dump programs that run now. */
function dumpsOf({ path }: Engine): ProcessSeen[] {
  return descendants().filter(({ commandLine }) => commandLine.includes(`${path}\0`));
}

/** Runs a backup whose second part takes a while, and does `work` meanwhile. */
function whileItDumps(
  engine: Engine,
  work: (kill: (signal: NodeJS.Signals) => void) => unknown,
): Promise<ProgramResult> {
  world.proxy.add({ path: /partNumber=2\b/, times: 1, fault: { kind: 'stall', ms: 800 } });
  const from = world.proxy.log.length;
  return runProgram(world, args(engine), {}, (kill) => {
    const timer = setInterval(() => {
      if (!world.proxy.log.slice(from).some((line) => line.endsWith(' stall'))) return;
      clearInterval(timer);
      void work(kill);
    }, 2);
  });
}

async function expectNothing({ code, stderr }: ProgramResult, why: RegExp): Promise<void> {
  expect([code, stderr]).toEqual([1, expect.stringMatching(why)]);
  await until('what was on its way has arrived', () => world.proxy.underWay === 0);
  expect(await world.keys(prefix)).toEqual(['_longshore/backup/last-attempt.json']);
  expect(await world.uploads(prefix)).toBe(0);
  expect(world.logged().at(-1)).toMatch(why);
  expect(await world.lastAttempt(prefix)).toMatchObject({
    ended: 'failed',
    what: expect.stringMatching(why),
  });
  expect(world.temporaryFolders()).toEqual([]);
}

describe.skipIf(pgDump === undefined)('of PostgreSQL', () => faultsOf('PostgreSQL'));
describe.skipIf(!mariadbAvailable())('of MariaDB', () => faultsOf('MariaDB'));

function faultsOf(product: string): void {
  test('a dump program that fails, in whatever way', async () => {
    const engine = engines.get(product)!;
    for (const [how, why] of [
      [
        "DUMP | head -c 20000000; echo 'the disk is gone' >&2; exit 2",
        /ended with code 2: .*the disk is gone/s,
      ],
      // The first 20 MB, then the end of its output; it lives on and says that all is well.
      [
        'DUMP | head -c 20000000; exec 1>&-; sleep 0.3; exit 0',
        /inside of a block|ended before the last line of the dump/,
      ],
      ['DUMP | head -c 0; exit 0', /does not end|last line/],
    ] as const) {
      const folder = wrapper(engine, how);
      await expectNothing(await runProgram(world, args(engine, '--client-folder', folder)), why);
    }
  });

  test('a dump program that is killed', async () => {
    const engine = engines.get(product)!;
    const killed = await whileItDumps(engine, () => {
      for (const { pid } of dumpsOf(engine)) process.kill(pid, 'SIGKILL');
    });
    await expectNothing(killed, /(was killed|was ended) by SIGKILL/);
  });

  test('the program itself, stopped and killed', async () => {
    const engine = engines.get(product)!;
    const children: number[] = [];
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const ended = await whileItDumps(engine, (kill) => {
        for (const { pid } of dumpsOf(engine)) children.push(pid);
        kill(signal);
      });
      expect([ended.code, ended.signal]).toEqual(signal === 'SIGINT' ? [130, null] : [null, 'SIGKILL']);
      await until('no dump goes on', () => children.every((pid) => !existsSync(`/proc/${pid}`)));
      await until('what was on its way has arrived', () => world.proxy.underWay === 0);
      expect((await world.keys(prefix)).filter((key) => !key.startsWith('_longshore/'))).toEqual([]);
      if (signal === 'SIGINT') expect(await world.uploads(prefix)).toBe(0);
      // Of a process that is killed the next one takes away what it left.
      expect(world.temporaryFolders()).toHaveLength(signal === 'SIGINT' ? 0 : 1);
    }
    expect(children).toHaveLength(2);
    expect((await runProgram(world, args(engine))).code).toBe(0);
    expect(world.temporaryFolders()).toEqual([]);
    expect(await world.wholeBackups(prefix)).toMatchObject([
      { manifest: { key: expect.stringMatching(/datadump1\./) }, missing: [] },
    ]);
  });

  test('a connection that is cut', async () => {
    const engine = engines.get(product)!;
    await expectNothing(await whileItDumps(engine, () => engine.sql(engine.cut)), engine.isCut);
  });

  test('a table that another session has locked', async () => {
    const engine = engines.get(product)!;
    await using session = await engine.session();
    for (const statement of engine.lock) await session.sql(statement);
    await expectNothing(await runProgram(world, args(engine, '--lock-wait', '1s')), engine.isLocked);
  });
}
