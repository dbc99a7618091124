/**
 * Clones whose making fails or is killed, with somebody at the door all the time: nobody gets in before a clone is whole and
 * masked, what is left behind goes, and the same command ends with one clone.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { installedPgDump } from '../servers/pg-dump.ts';
import { type PostgresServer, type PostgresTestDatabase, postgresServer } from '../servers/postgres.ts';
import { until } from '../worlds/backup-world.ts';
import {
  ask,
  type CloneWorld,
  createCloneWorld,
  withDatabaseName,
  withoutPassword,
} from '../worlds/clone-world.ts';
import type { ProgramResult } from './world.ts';

const hasDump = (await installedPgDump()) !== undefined;
const ROWS = 400;

let server: PostgresServer;
let source: PostgresTestDatabase;
let world: CloneWorld;
beforeAll(async () => {
  server = await postgresServer();
  await ask(server.url, "CREATE ROLE visitor LOGIN PASSWORD 'v'");
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  world = createCloneWorld();
  source = await server.createDatabase();
  // By a session that ends: files are copied while nobody is connected. A check that takes its time, to look and to kill.
  await ask(
    source.url,
    `CREATE FUNCTION slowly(text) RETURNS boolean IMMUTABLE LANGUAGE sql
       AS 'SELECT $1 LIKE ''%@shop.test'' OR pg_sleep(0.005) IS NOT NULL';
     CREATE TABLE customers (id int PRIMARY KEY, email text NOT NULL CHECK (slowly(email)));
     INSERT INTO customers SELECT i, 'person' || i || '@shop.test' FROM generate_series(1, ${ROWS}) i;
     GRANT SELECT ON customers TO PUBLIC`,
  );
  writeFileSync(join(world.folder, 'masking.yaml'), 'columns: { customers.email: email }\n');
});
afterEach(() => world[Symbol.dispose]());

const NAME = 'shop_clone';
const args = (...more: string[]): string[] => [
  '--from',
  withoutPassword(source.url),
  '--name',
  NAME,
  '--json',
  ...more,
];
const masked = (...more: string[]): string[] => args('--masking', 'masking.yaml', ...more);

const run = (
  given: readonly string[],
  env: Record<string, string> = {},
  onStart?: Parameters<CloneWorld['clone']>[2],
): Promise<ProgramResult> =>
  world.clone(given, { PGPASSWORD: new URL(source.url).password, ...env }, onStart);

const onServer = (): string[] => ['--on', withoutPassword(server.url)];
const databases = async (): Promise<string[]> =>
  (await ask(server.url, 'SELECT datname::text AS name FROM pg_database ORDER BY 1'))
    .map(({ name }) => String(name))
    .filter(
      (name) => name === NAME || (name.startsWith('longshore_') && !name.startsWith('longshore_test_')),
    );

interface Watched {
  /** Databases in the making that were seen. */
  readonly seen: ReadonlySet<string>;
  /** What the visitor read where he was let in. */
  readonly read: readonly string[];
}

/** Tries every door as fast as it goes, while `work` runs. */
async function watched<T>(work: () => Promise<T>): Promise<[T, Watched]> {
  const [seen, read] = [new Set<string>(), [] as string[]];
  let stop = false;
  const visitor = new URL(server.url);
  [visitor.username, visitor.password] = ['visitor', 'v'];
  const looking = (async () => {
    while (!stop) {
      for (const name of await databases()) {
        seen.add(name);
        try {
          const rows = await ask(withDatabaseName(visitor.href, name), 'SELECT email FROM customers');
          read.push(...rows.map(({ email }) => String(email)));
        } catch (error) {
          if (!/permission denied|not currently accepting|does not exist/.test(String(error))) throw error;
        }
      }
      const inside = await ask(
        server.url,
        "SELECT datname::text AS name FROM pg_stat_activity WHERE usename = 'visitor' AND datname LIKE 'longshore\\_making%'",
      );
      read.push(...inside.map(({ name }) => `inside ${String(name)}`));
    }
  })();
  try {
    return [await work(), { seen, read }];
  } finally {
    stop = true;
    await looking;
  }
}

const makingWas = ({ seen }: Watched): boolean =>
  [...seen].some((name) => name.startsWith('longshore_making'));

async function drop(): Promise<void> {
  const dropped = await run(['drop', NAME, ...onServer()]);
  expect(dropped.code, dropped.stderr).toBe(0);
  expect(await databases()).toEqual([]);
}

test('a rule that does not hold at run time: the clone is gone, and nobody ever read it', async () => {
  await ask(
    source.url,
    "ALTER TABLE customers ADD CONSTRAINT ours CHECK (id < 300 OR email LIKE '%@shop.test')",
  );
  const [failed, seen] = await watched(() => run(masked()));
  expect(failed.code, failed.stderr).toBe(1);
  expect(failed.stderr).toContain('ours');
  expect(failed.stderr).not.toContain('@shop.test');
  expect(makingWas(seen)).toBe(true);
  expect(seen.seen).not.toContain(NAME);
  expect(seen.read).toEqual([]);
  expect(await databases()).toEqual([]);
  const list = await run(['list', ...onServer()]);
  expect(list.stdout).toContain('there are no clones');
});

test.each(['the same command', 'sweep'])('killed while it masks, then %s', async (then) => {
  const [killed, while_] = await watched(() =>
    run(masked(), {}, (kill, onOutput) => onOutput('"mask public.customers"', () => kill('SIGKILL'))),
  );
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  expect(makingWas(while_)).toBe(true);
  const [left] = await databases();
  expect(left).toMatch(/^longshore_making_/);
  const [again, after] = await watched(() =>
    then === 'sweep' ? run(['sweep', ...onServer(), '--json']) : run(masked()),
  );
  expect(again.code, again.stderr).toBe(0);
  // Whatever he read, he read it once it was whole.
  for (const email of [...while_.read, ...after.read]) expect(email).toMatch(/^u\w+@example\.com$/);
  if (then === 'sweep') {
    expect(JSON.parse(again.stdout)).toEqual([{ name: NAME, why: 'left behind' }]);
    expect(await databases()).toEqual([]);
    return;
  }
  expect(await databases()).toEqual([NAME]);
  expect(
    await ask(
      withDatabaseName(server.url, NAME),
      "SELECT count(*)::int AS all, count(*) FILTER (WHERE email LIKE '%@example.com')::int AS masked FROM customers",
    ),
  ).toEqual([{ all: ROWS, masked: ROWS }]);
  await drop();
});

test('killed in the moment that its database is made: it is shut', async () => {
  await using session = await source.session();
  // Whoever notes what a database is waits.
  await session.sql('BEGIN; LOCK TABLE pg_shdescription IN SHARE MODE');
  const killed = await run(args(...(hasDump ? ['--how', 'dump'] : ['--mode', 'create'])), {}, (kill) => {
    void until('it is made', async () => (await databases()).length > 0).then(() => kill('SIGKILL'));
  });
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  const [left] = await databases();
  expect(await ask(server.url, `SELECT datallowconn FROM pg_database WHERE datname = '${left}'`)).toEqual([
    { datallowconn: false },
  ]);
  await session.sql('ROLLBACK');
  const swept = await run(['sweep', ...onServer()]);
  expect(swept.code, swept.stderr).toBe(0);
  expect(await databases()).toEqual([]);
});

const POINTS: [string, readonly string[]][] = [
  ['created:1', ['--how', 'copy']],
  ['copied:1', ['--how', 'copy']],
  ['copied:1', ['--how', 'template']],
  ['filled:1', ['--how', 'dump']],
  ['published:1', ['--how', 'template']],
  ['created:1', ['--mode', 'create']],
];

test.skipIf(!hasDump)('killed at any point and run again: one clone, no orphan', async () => {
  for (const [point, more] of POINTS) {
    const which = `${point} ${more.join(' ')}`;
    const [killed, seen] = await watched(() => run(args(...more), { LONGSHORE_KILL_AT: point }));
    expect(killed.signal, `${which}: ${killed.stderr}`).toBe('SIGKILL');
    if (point !== 'published:1') expect(seen.read, which).toEqual([]);
    const again = await run(args(...more));
    expect(again.code, `${which}: ${again.stderr}`).toBe(0);
    expect(JSON.parse(again.stdout), which).toMatchObject({
      clone: { name: NAME, existed: point === 'published:1' },
    });
    expect(await databases(), which).toEqual([NAME]);
    if (!more.includes('create'))
      expect(
        await ask(withDatabaseName(server.url, NAME), 'SELECT count(*)::int AS n FROM customers'),
      ).toEqual([{ n: ROWS }]);
    await drop();
  }
  expect(world.temporary()).toEqual([]);
});

test('killed while it fills a pool: what is not whole goes, and the pool is filled', async () => {
  const pool = masked('--pool', '2').filter((arg) => arg !== '--name' && arg !== NAME);
  for (const point of ['copied:1', 'member-copied:2']) {
    const [killed, seen] = await watched(() => run(pool, { LONGSHORE_KILL_AT: point }));
    expect(killed.signal, killed.stderr).toBe('SIGKILL');
    for (const email of seen.read) expect(email).toMatch(/@example\.com$/);
    const swept = await run(['sweep', ...onServer(), '--json']);
    expect(JSON.parse(swept.stdout)).toEqual([
      { name: expect.stringMatching(/^longshore_/), why: 'left behind' },
    ]);
    expect((await databases()).filter((name) => name.startsWith('longshore_making'))).toEqual([]);
  }
  const filled = await run(pool);
  expect(JSON.parse(filled.stdout)).toEqual({ pooled: 1 });
  // Somebody looks into one: the other is handed out.
  const member = (await databases()).find((name) => name.startsWith('longshore_pool_'))!;
  const inside = new pg.Client({ connectionString: withDatabaseName(server.url, member) });
  await inside.connect();
  const taken = await run(masked('--pool', '0'));
  expect(JSON.parse(taken.stdout), taken.stderr).toMatchObject({ clone: { how: 'pool', name: NAME } });
  await inside.end();
  await run(['drop', NAME, ...onServer()]);
  for (const name of await databases()) await ask(server.url, `DROP DATABASE ${name} WITH (FORCE)`);
});

test('killed at random, two at once each time: one clone in the end', async () => {
  for (const afterMs of [300, 500, 700]) {
    const late = (kill: (signal: NodeJS.Signals) => void): void =>
      void wait(afterMs).then(() => kill('SIGKILL'));
    await Promise.all([run(args(), {}, late), run(args(), {}, late)]);
  }
  const both = await Promise.all([run(args()), run(args())]);
  for (const { code, stderr } of both) expect(code, stderr).toBe(0);
  const clones = both.map(({ stdout }) => (JSON.parse(stdout) as { clone: { existed: boolean } }).clone);
  expect(clones.filter(({ existed }) => !existed).length).toBeLessThanOrEqual(1);
  expect(clones[0]).toMatchObject({ name: NAME });
  expect(await databases()).toEqual([NAME]);
  await drop();
});
