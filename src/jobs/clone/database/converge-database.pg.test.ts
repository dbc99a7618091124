/** Clones on real PostgreSQL servers: every way they are made, what is left of those that fail, and how they end. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { installedPgDump } from '../../../../test/servers/pg-dump.ts';
import {
  debianBinFolder,
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../../test/servers/postgres.ts';
import { TORTURE_DATABASE } from '../../../../test/worlds/torture-database.ts';
import { parseDatabaseUrl } from '../../../config/database-url.ts';
import { openCloneServer } from '../../../databases/clone-server.ts';
import { compareFacts } from '../../../databases/compare-facts.ts';
import { withDatabase } from '../../../databases/make-database.ts';
import { openRestoreTarget } from '../../../databases/open-dump.ts';
import { startPostgres } from '../../../embedded/postgres.ts';
import type { CloneEvent } from '../events.ts';
import { databaseGrants } from '../grants.ts';
import type { Way } from './choose-way.ts';
import { fillPool, takeFromPool } from './clone-pool.ts';
import { convergeDatabase } from './converge-database.ts';
import { planDatabase, shownPlan } from './plan-database.ts';
import type { DatabaseRequest } from './request.ts';
import { dropServerClone, listServerClones, sweepServerClones } from './server-clones.ts';

const pgDump = await installedPgDump();
const { signal } = new AbortController();
let server: PostgresServer;
let source: PostgresTestDatabase;
let number = 0;
beforeAll(async () => {
  server = await postgresServer();
});
afterEach(async () => {
  for (const { name, state } of await listServerClones(on()))
    if (state !== 'pooled') await dropServerClone(on(), name);
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  source = await server.createDatabase();
  number++;
});

function request(more: Partial<DatabaseRequest> = {}): DatabaseRequest {
  return {
    mode: 'clone',
    source: parseDatabaseUrl(source.url),
    on: parseDatabaseUrl(server.url),
    name: `clone_${process.pid}_${number}`,
    ttlMs: 3_600_000,
    owner: 'ada@here',
    changelog: undefined,
    masking: undefined,
    way: undefined,
    jobs: 2,
    clientFolder: undefined,
    noOwner: false,
    compare: false,
    backups: undefined,
    ...more,
  };
}

const on = () => parseDatabaseUrl(server.url);
const planned = async (asked: DatabaseRequest) => {
  await using server = await openCloneServer(asked.on);
  return shownPlan(await planDatabase(asked, server, process.env, signal));
};
const named = async (name: string) => (await listServerClones(on())).find((entry) => entry.name === name);

async function differences(name: string): Promise<string[]> {
  const like = { tables: [], sequences: {}, objects: [], largeObjects: 0 };
  await using was = await openRestoreTarget(parseDatabaseUrl(source.url), {});
  await using is = await openRestoreTarget(withDatabase(on(), name), {});
  return compareFacts(await was.facts(like, signal), await is.facts(like, signal));
}

/** Ends the sessions of the pool, so that nobody is connected. */
async function leave(): Promise<void> {
  await source.sql('SELECT 1');
  await using session = await (await server.createDatabase()).session();
  await session.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${source.name}'`,
  );
}

const ways: Way[] = pgDump === undefined ? ['template'] : ['template', 'copy', 'dump'];

test.each(ways)(
  'by %s: the same in every table and object, noted, listed, swept when it has expired',
  async (way) => {
    await source.sql(TORTURE_DATABASE);
    await leave();
    const events: CloneEvent[] = [];
    const asked = request({ way, compare: way !== 'template' });
    const made = await convergeDatabase(asked, { emit: (event) => events.push(event) });
    expect(made).toMatchObject({ name: asked.name, existed: false, database: asked.name, owner: 'ada@here' });
    expect(made.url).toContain(`/${asked.name}`);
    expect(await differences(asked.name)).toEqual([]);
    expect(events.some(({ type }) => type === 'phase')).toBe(true);
    expect(await named(asked.name)).toMatchObject({
      state: 'ready',
      source: asked.source.name,
      costSoFar: 0,
    });
    expect(await convergeDatabase(asked)).toMatchObject({ existed: true, how: made.how });
    expect(await sweepServerClones(on(), {})).toEqual([]);
    const later = { now: () => Date.now() + 2 * 3_600_000, wait: async () => undefined };
    expect(await sweepServerClones(on(), { plan: true }, { clock: later })).toEqual([
      { name: asked.name, why: 'expired' },
    ]);
    expect(await named(asked.name)).toBeDefined();
    await sweepServerClones(on(), {}, { clock: later });
    expect(await named(asked.name)).toBeUndefined();
  },
);

test.skipIf(pgDump === undefined)(
  'while somebody is connected rows are copied, and the plan says why',
  async () => {
    await source.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)');
    await using _ = await source.session();
    const { how } = await convergeDatabase(request());
    expect(how).toBe('copy');
    expect(await differences(request().name)).toEqual([]);
  },
);

test.skipIf(pgDump === undefined)(
  'a role with the grants that are printed can clone, and no other is let in',
  async () => {
    await source.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
    const role = `cloner_${process.pid}`;
    await source.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'cloner'`);
    const url = new URL(source.url);
    [url.username, url.password] = [role, 'cloner'];
    const from = parseDatabaseUrl(url.href);
    for (const { statements } of databaseGrants(from, from, role).sql)
      for (const statement of statements) await source.sql(statement);
    await expect(convergeDatabase(request({ source: from, on: from }))).rejects.toMatchObject({
      message: expect.stringContaining(`Cannot restore into ${request().name}`),
      hint: expect.stringContaining('--no-owners'),
    });
    const made = await convergeDatabase(request({ source: from, on: from, noOwner: true, compare: true }));
    expect(made.how).toBe('copy');
    await dropServerClone(from, made.name);
    await source.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  },
);

test.skipIf(pgDump === undefined)(
  'files are not copied where rows are to be compared, or owners left out',
  async () => {
    await source.sql('CREATE TABLE t (id int)');
    await leave();
    expect((await convergeDatabase(request({ compare: true }))).how).toBe('copy');
    const other = request({ name: `${request().name}_b`, noOwner: true });
    expect((await convergeDatabase(other)).how).toBe('copy');
    const wanted = request({ name: `${request().name}_c`, compare: true, way: 'template' });
    await expect(convergeDatabase(wanted)).rejects.toThrow('cannot be held against the source');
  },
);

test.skipIf(pgDump === undefined)('a copy subscribes to nothing, and can be dropped', async () => {
  await source.sql('CREATE TABLE t (id int)');
  await source.sql(
    "CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 dbname=x' PUBLICATION p WITH (connect=false, slot_name='theirs')",
  );
  await source.sql("COMMENT ON SUBSCRIPTION sub IS 'of the source'");
  try {
    for (const way of ['copy', 'dump'] as const) {
      await convergeDatabase(request({ way, compare: true }));
      expect(await source.sql('SELECT FROM pg_subscription')).toHaveLength(1);
      await dropServerClone(on(), request().name);
    }
  } finally {
    await source.sql('ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub');
  }
});

test.skipIf(pgDump === undefined)(
  'encoding, collation, grants and settings are those of the source, whichever way; and told where they cannot be',
  async () => {
    const [like, role] = [`like_${source.name}`, `guest_${process.pid}`];
    await source.sql(
      `CREATE DATABASE ${like} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'POSIX'`,
    );
    await source.sql(`CREATE ROLE ${role} LOGIN CREATEDB`);
    await source.sql(
      `REVOKE CONNECT ON DATABASE ${like} FROM PUBLIC; GRANT CONNECT ON DATABASE ${like} TO ${role};
       ALTER DATABASE ${like} SET work_mem = '7MB'; ALTER ROLE ${role} IN DATABASE ${like} SET search_path = 'a', 'B c';
       ALTER ROLE CURRENT_USER IN DATABASE ${like} SET jit = 'off';
       COMMENT ON DATABASE ${like} IS 'of the source'`,
    );
    const from = withDatabase(on(), like);
    const facts = async (name: string) =>
      source.sql(`SELECT encoding, datcollate, datctype, datacl::text, ARRAY(SELECT setconfig::text FROM pg_db_role_setting
                  WHERE setdatabase = d.oid ORDER BY 1) AS settings FROM pg_database d WHERE datname = '${name}'`);
    for (const way of ways) {
      await convergeDatabase(request({ source: from, way }));
      expect(await facts(request().name)).toEqual(await facts(like));
      await dropServerClone(on(), request().name);
    }
    await source.sql(`ALTER DATABASE ${like} OWNER TO ${role}`);
    const notices: string[] = [];
    const guest = { ...on(), connection: { ...on().connection, user: role } };
    await source.sql(`ALTER ROLE ${role} PASSWORD '${on().connection.password!.reveal()}'`);
    await convergeDatabase(
      { ...request({ source: withDatabase(guest, like) }), on: guest },
      { emit: (event) => void (event.type === 'notice' && notices.push(event.text)) },
    );
    expect(notices.filter((text) => text.includes('setting jit'))).toHaveLength(1);
    const [made] = await facts(request().name);
    expect(made!['datacl']).not.toMatch(/[{,]=[^,/]*c/);
    expect(made!['settings']).toContain('{work_mem=7MB}');
    await dropServerClone(on(), request().name);
    await source.sql(`DROP DATABASE ${like}`);
    await source.sql(`DROP ROLE ${role}`);
  },
);

test('a role that may make no databases is a finding of the plan', async () => {
  const role = `reader_${process.pid}`;
  await source.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
  const url = new URL(server.url);
  url.username = role;
  url.password = 'x';
  const { findings } = await planned(request({ on: parseDatabaseUrl(url.href) }));
  expect(findings).toContainEqual(
    expect.objectContaining({
      kind: 'problem',
      text: expect.stringContaining(`the role ${role} may make no databases`),
      hint: expect.stringContaining('CREATEDB'),
    }),
  );
  await source.sql(`DROP ROLE ${role}`);
});

test('what the other server lacks: roles are named before anything is made, tablespaces are done without', async () => {
  await using other = await startPostgres(pgDump === undefined ? {} : { binFolder: debianBinFolder()! });
  const role = `owner "of" ${process.pid}`;
  const quoted = `"${role.replaceAll('"', '""')}"`;
  await source.sql(`CREATE ROLE ${quoted}; CREATE TABLE t (id int); ALTER TABLE t OWNER TO ${quoted}`);
  const elsewhere = request({ on: parseDatabaseUrl(other.url) });
  await expect(convergeDatabase(elsewhere)).rejects.toThrow(`has no role ${role}`);
  if (pgDump !== undefined)
    expect((await convergeDatabase({ ...elsewhere, noOwner: true })).how).toBe('copy');
  await source.sql(`DROP TABLE t; DROP ROLE ${quoted}`);
  // Below the server's data, where only the server's user has to be let in.
  const [place] = await source.sql("SELECT current_setting('data_directory') || '/longshore_space' AS place");
  await source.sql(`COPY (SELECT 1) TO PROGRAM 'mkdir ${place!['place']}'`);
  await source.sql(`CREATE TABLESPACE space LOCATION '${place!['place']}'`);
  await source.sql('CREATE TABLE t (id int PRIMARY KEY) TABLESPACE space');
  for (const way of ways.filter((name) => name !== 'template')) {
    const spread = { ...elsewhere, name: `${elsewhere.name}_${way}`, way };
    const { findings } = await planned(spread);
    expect(findings).toContainEqual(expect.objectContaining({ kind: 'warning' }));
    expect((await convergeDatabase({ ...spread, compare: true })).how).toBe(way);
  }
  await source.sql('DROP TABLE t');
  await source.sql('DROP TABLESPACE space');
});

test('one that has expired is made anew', async () => {
  await source.sql('CREATE TABLE t (id int)');
  await leave();
  const first = await convergeDatabase(request());
  const later = { now: () => Date.now() + 2 * 3_600_000, wait: async () => undefined };
  const second = await convergeDatabase(request(), { clock: later });
  expect(second.existed).toBe(false);
  expect(Date.parse(second.expiresAt!)).toBeGreaterThan(Date.parse(first.expiresAt!));
});

describe('what is in the way', () => {
  test('a database that Longshore did not make is not touched', async () => {
    const other = await server.createDatabase();
    await expect(convergeDatabase(request({ name: other.name }))).rejects.toThrow(
      'Longshore did not make it',
    );
    await expect(dropServerClone(on(), other.name)).rejects.toThrow('no clone of Longshore');
    await other.sql(`COMMENT ON DATABASE ${other.name} IS 'longshore clone {"v":1}'`);
    await sweepServerClones(on(), {});
    const note = {
      ...{ v: 1, name: other.name, source: '', mode: 'clone', how: '', owner: '', key: '', state: 'ready' },
      ...{ madeAt: 'once', expiresAt: '1970' },
    };
    await other.sql(`COMMENT ON DATABASE ${other.name} IS 'longshore clone ${JSON.stringify(note)}'`);
    expect(await named(other.name)).toBeUndefined();
    expect(await sweepServerClones(on(), {})).toEqual([]);
    expect(await other.sql('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('a clone of something else under that name', async () => {
    await leave();
    await convergeDatabase(request());
    const another = await server.createDatabase();
    await expect(convergeDatabase(request({ source: parseDatabaseUrl(another.url) }))).rejects.toThrow(
      'made of something else',
    );
    const plan = await planned(request({ source: parseDatabaseUrl(another.url) }));
    expect(plan.findings.filter(({ kind }) => kind === 'problem')).toHaveLength(1);
    expect(plan).not.toHaveProperty('shape');
    await dropServerClone(on(), request().name);
    expect(await named(request().name)).toBeUndefined();
  });

  test.each(['a b', 'x'.repeat(64), '1a', 'longshore_a', 'drop"'])('the name %j', async (name) => {
    await expect(convergeDatabase(request({ name }))).rejects.toThrow('cannot call a database');
  });

  test('a source that is not there', async () => {
    const gone = withDatabase(parseDatabaseUrl(source.url), 'nowhere');
    await expect(convergeDatabase(request({ source: gone }))).rejects.toThrow(/nowhere/);
    expect(await named(request().name)).toBeUndefined();
  });
});

test('what a process left behind is made anew, and swept', async () => {
  await source.sql('CREATE TABLE t (id int)');
  await leave();
  const failpoint = (): void => {
    throw new Error('killed');
  };
  await expect(convergeDatabase(request(), { failpoint })).rejects.toThrow('killed');
  expect(await source.sql("SELECT FROM pg_database WHERE datname LIKE 'longshore_making%'")).toEqual([]);
  await leave();
  await convergeDatabase(request());
  await source.sql(`ALTER DATABASE ${request().name} RENAME TO longshore_making_0123456789abcdef`);
  await source.sql('COMMENT ON DATABASE longshore_making_0123456789abcdef IS NULL');
  expect(await sweepServerClones(on(), {})).toEqual([
    { name: 'longshore_making_0123456789abcdef', why: 'left behind' },
  ]);
});

test.skipIf(pgDump === undefined)(
  'what broke is told, also where the server cannot be asked to drop what is left',
  async () => {
    await source.sql('CREATE TABLE t (id int)');
    const notices: string[] = [];
    const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()`;
    const failing = convergeDatabase(request({ way: 'copy' }), {
      emit: (event) => {
        if (event.type === 'phase' && event.phase === 'rows') void source.sql(end);
        if (event.type === 'notice') notices.push(event.text);
      },
      failpoint: (point) => {
        if (point === 'filled') throw new Error('killed');
      },
    });
    await expect(failing).rejects.toThrow('killed');
    expect(notices).toEqual([expect.stringContaining('is left behind')]);
    expect(await sweepServerClones(on(), {})).toEqual([{ name: request().name, why: 'left behind' }]);
  },
);

test('one that cannot be dropped keeps none of the others', async () => {
  await source.sql('CREATE TABLE t (id int)');
  await leave();
  const [stuck, other] = [request(), request({ name: `${request().name}_z` })];
  await convergeDatabase(stuck);
  await convergeDatabase(other);
  await source.sql(`REVOKE CONNECT ON DATABASE ${stuck.name} FROM PUBLIC`);
  const role = `lister_${process.pid}`;
  await source.sql(`CREATE ROLE ${role} LOGIN CREATEDB PASSWORD '${on().connection.password!.reveal()}'`);
  const ours = ({ name }: { name: string }) => name.startsWith(stuck.name);
  const guest = { ...on(), connection: { ...on().connection, user: role } };
  expect(
    (await listServerClones(guest)).filter(ours).map(({ name, bytes }) => [name, bytes !== undefined]),
  ).toEqual([
    [stuck.name, false],
    [other.name, true],
  ]);
  await source.sql(`ALTER DATABASE ${other.name} OWNER TO ${role}`);
  const later = { now: () => Date.now() + 2 * 3_600_000, wait: async () => undefined };
  expect((await sweepServerClones(guest, {}, { clock: later })).filter(ours)).toEqual([
    { name: stuck.name, why: 'expired', failed: expect.stringContaining('must be owner') },
    { name: other.name, why: 'expired' },
  ]);
  await source.sql(`ALTER DATABASE ${stuck.name} RENAME TO ${stuck.name}_renamed`);
  await dropServerClone(on(), `${stuck.name}_renamed`);
  expect((await listServerClones(on())).filter(ours)).toEqual([]);
  await source.sql(`DROP ROLE ${role}`);
});

test.skipIf(pgDump === undefined)('two at once make one', async () => {
  await source.sql('CREATE TABLE t (id int)');
  const both = await Promise.all([convergeDatabase(request()), convergeDatabase(request())]);
  expect(both.map(({ existed }) => existed).sort()).toEqual([false, true]);
});

test('a pool hands each out once, and not what is made of something else', async () => {
  await source.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)');
  await leave();
  expect(await fillPool(request(), 3)).toBe(3);
  expect(await fillPool(request(), 3)).toBe(0);
  const names = [0, 1, 2, 3].map((n) => `${request().name}_${n}`);
  const taken = await Promise.all(names.map((name) => takeFromPool(request({ name }))));
  expect(taken.filter((clone) => clone !== undefined)).toHaveLength(3);
  for (const clone of taken) {
    if (clone === undefined) continue;
    expect(await differences(clone.name)).toEqual([]);
    expect(await named(clone.name)).toMatchObject({ state: 'ready', owner: 'ada@here' });
  }
  expect(await takeFromPool(request({ name: 'masked', masking: 'columns: {}' }))).toBeUndefined();
  await expect(takeFromPool(request({ name: 'drop"' }))).rejects.toThrow('cannot call a database');
  expect(await fillPool(request(), 1)).toBe(1);
  const pooled = async () =>
    (await listServerClones(on()))
      .filter((clone) => clone.state === 'pooled' && clone.source === request().source.name)
      .map(({ name }) => name);
  const template = (await pooled()).find((name) => name.startsWith('longshore_template_'))!;
  expect(await pooled()).toHaveLength(2);
  await dropServerClone(on(), template);
  expect(await pooled()).toEqual([]);
});
