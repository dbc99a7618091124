/** Archives that are loaded while they stream by, held against the database that they were made of. */

import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { installedPgDump } from '../../../test/servers/pg-dump.ts';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { loadPagila, pagilaAvailable } from '../../../test/worlds/pagila.ts';
import { TORTURE_DATABASE } from '../../../test/worlds/torture-database.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { compareFacts } from '../compare-facts.ts';
import type { RestoreOptions } from '../dump.ts';
import { tableIn } from './archive-load.ts';
import { readRowBatches } from './archive-rows.ts';
import { preparePostgresDump } from './prepare-dump.ts';
import { openPostgresTarget } from './restore-target.ts';

const pgDump = await installedPgDump();
const { signal } = new AbortController();
const connection = ({ url }: PostgresTestDatabase) => parseDatabaseUrl(url).connection;

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

test.each([
  ['COPY public.t (a, "b c", d) FROM stdin;\n', 'public', 't', ['a', 'b c', 'd']],
  [
    'COPY "a.b"."c (x) FROM" ("d,e", "f""g", "(h)", "i\nj") FROM stdin;\n',
    'a.b',
    'c (x) FROM',
    ['d,e', 'f"g', '(h)', 'i\nj'],
  ],
  ['COPY public.nothing  FROM stdin;\n', 'public', 'nothing', []],
  ['COPY "t""x" (a) FROM stdin;\n', 'own', 't"x', ['a']],
])('the table of %j', (copy, schema, name, columns) => {
  expect(tableIn({ schema: 'own', copy })).toEqual({ schema, name, columns });
});

describe.skipIf(pgDump === undefined)('an archive', () => {
  async function archiveOf(source: PostgresTestDatabase) {
    await using dump = await preparePostgresDump(connection(source), { format: 'custom' });
    const bytes = await buffer(dump.stream(signal));
    return { bytes, facts: dump.facts() };
  }

  function inPieces(bytes: Buffer, pieceBytes: number): Readable {
    return Readable.from(
      (function* () {
        for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
      })(),
      { objectMode: false },
    );
  }

  /** @returns what is not the same */
  async function loaded(
    { bytes, facts }: Awaited<ReturnType<typeof archiveOf>>,
    options: RestoreOptions = {},
    pieceBytes = 100_003,
  ): Promise<string[]> {
    const there = await server.createDatabase();
    await using target = await openPostgresTarget(connection(there), { jobs: 3, ...options });
    await target.restore(inPieces(bytes, pieceBytes), 'custom', signal);
    return compareFacts(facts, await target.facts(facts, signal));
  }

  async function onDisk<T>(work: () => Promise<T>): Promise<{ result: T; archives: number }> {
    const folder = await mkdtemp(join(tmpdir(), 'longshore-load-'));
    vi.stubEnv('TMPDIR', folder);
    let archives = 0;
    const look = setInterval(() => {
      for (const name of readdirSync(folder)) if (existsSync(join(folder, name, 'archive'))) archives++;
    }, 1);
    try {
      return { result: await work(), archives };
    } finally {
      clearInterval(look);
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    }
  }

  test('of everything but large objects, without the disk', async () => {
    const source = await server.createDatabase();
    await source.sql(TORTURE_DATABASE);
    await source.sql('SELECT lo_unlink(oid) FROM pg_largeobject_metadata');
    const archive = await archiveOf(source);
    expect(archive.facts).toMatchObject({ largeObjects: 0 });
    expect(await onDisk(() => loaded(archive))).toEqual({ result: [], archives: 0 });
    expect(await loaded(archive, {}, 997)).toEqual([]);
  });

  test('with large objects goes through the disk', async () => {
    const source = await server.createDatabase();
    await source.sql(TORTURE_DATABASE);
    const { result, archives } = await onDisk(async () => loaded(await archiveOf(source)));
    expect(result).toEqual([]);
    expect(archives).toBeGreaterThan(0);
  });

  test('with rows of many batches, and one that is larger than a batch', async () => {
    const source = await server.createDatabase();
    await source.sql(`
      CREATE TABLE big (id int PRIMARY KEY, v text);
      INSERT INTO big SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, 3000) i;
      INSERT INTO big VALUES (0, repeat(E'a\\n\\\\.\\tb', 4000000)), (3001, E'\\\\.'), (3002, ''), (3003, NULL);
      CREATE TABLE small (id int); INSERT INTO small VALUES (1);
      CREATE TABLE empty (id int)`);
    const archive = await archiveOf(source);
    expect(await loaded(archive)).toEqual([]);
    const batches: { name: string; whole: boolean; bytes: number }[] = [];
    for await (const batch of readRowBatches(inPieces(archive.bytes, 65_536), 2)) {
      using _ = batch;
      batches.push({ name: batch.entry.name, whole: batch.whole, bytes: batch.rows.byteLength });
      expect(batch.rows.at(-1)).toBe(0x0a);
    }
    const ofBig = batches.filter(({ name }) => name === 'big');
    expect(ofBig.length).toBeGreaterThan(3);
    expect(ofBig.every(({ whole }) => !whole)).toBe(true);
    expect(batches.filter(({ name }) => name !== 'big')).toEqual([{ name: 'small', whole: true, bytes: 2 }]);
  });

  test.skipIf(!pagilaAvailable())('of pagila', async () => {
    const source = await server.createDatabase();
    await loadPagila(source.url);
    expect(await loaded(await archiveOf(source))).toEqual([]);
  });

  test('of many small tables has no buffer for each of them', async () => {
    const source = await server.createDatabase();
    await source.sql(`DO $$ BEGIN FOR i IN 1..200 LOOP
      EXECUTE format('CREATE TABLE t%s (a int); INSERT INTO t%s VALUES (%s)', i, i, i); END LOOP; END $$`);
    const archive = await archiveOf(source);
    const buffers = new Set<ArrayBufferLike>();
    for await (const { rows } of readRowBatches(inPieces(archive.bytes, archive.bytes.length), 3))
      buffers.add(rows.buffer);
    const bytes = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(bytes).toBeLessThan(10 * 1024 ** 2);
    expect(await loaded(archive)).toEqual([]);
  });

  test('that is hardly longer than its table of contents has all of its rows, however it comes', async () => {
    const source = await server.createDatabase();
    await source.sql('CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 9)');
    const { bytes } = await archiveOf(source);
    for (let pieceBytes = 100; pieceBytes < bytes.length; pieceBytes += 10) {
      const batches: string[] = [];
      for await (const { rows } of readRowBatches(inPieces(bytes, pieceBytes), 3)) batches.push(String(rows));
      expect(batches).toEqual(['1\n2\n3\n4\n5\n6\n7\n8\n9\n']);
    }
  });

  /** As somebody makes it who calls the program himself. */
  async function madeBy(source: PostgresTestDatabase, ...args: string[]): Promise<Buffer<ArrayBuffer>> {
    const call = [`--dbname=${source.url}`, '--format=custom', '--compress=0', ...args];
    const { stdout } = await promisify(execFile)(pgDump!.path, call, {
      encoding: 'buffer',
      maxBuffer: Infinity,
    });
    return Buffer.from(stdout);
  }

  test('with INSERT instead of rows', async () => {
    const source = await server.createDatabase();
    await source.sql('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)');
    const { facts } = await archiveOf(source);
    expect(await loaded({ bytes: await madeBy(source, '--inserts'), facts })).toEqual([]);
  });

  test('with rows that belong into other partitions of the database that they are loaded into', async () => {
    const source = await server.createDatabase();
    // The hash of an enum is that of its number, which another database gives anew.
    await source.sql(`
      CREATE TYPE color AS ENUM ('r', 'g', 'b', 'y', 'k');
      CREATE TABLE "a.h" (c color, v int) PARTITION BY HASH (c);
      CREATE TABLE h0 PARTITION OF "a.h" FOR VALUES WITH (MODULUS 3, REMAINDER 0);
      CREATE TABLE h1 PARTITION OF "a.h" FOR VALUES WITH (MODULUS 3, REMAINDER 1);
      CREATE TABLE h2 PARTITION OF "a.h" FOR VALUES WITH (MODULUS 3, REMAINDER 2);
      ALTER TABLE "a.h" ADD PRIMARY KEY (c, v);
      INSERT INTO "a.h" SELECT (enum_range(NULL::color))[1 + i % 5], i FROM generate_series(1, 1000) i`);
    const there = await server.createDatabase();
    await using target = await openPostgresTarget(connection(there), { jobs: 2 });
    await target.restore(
      inPieces(await madeBy(source, '--load-via-partition-root'), 65_536),
      'custom',
      signal,
    );
    const rows = 'SELECT c, v FROM "a.h" ORDER BY c, v';
    expect(await there.sql(rows)).toEqual(await source.sql(rows));
  });

  test('of tables that are there already, with foreign keys, takes them in its order', async () => {
    const source = await server.createDatabase();
    const tables = `
      CREATE TABLE parent (id int PRIMARY KEY);
      CREATE TABLE child (id int REFERENCES parent (id))`;
    await source.sql(`${tables};
      INSERT INTO parent SELECT generate_series(1, 10); INSERT INTO child SELECT generate_series(1, 10)`);
    const bytes = await madeBy(source, '--data-only');
    const { facts } = await archiveOf(source);
    const there = await server.createDatabase();
    await there.sql(tables);
    await using target = await openPostgresTarget(connection(there), { jobs: 4 });
    // Rows of the child may be written meanwhile, as far as they point to something.
    await using holder = await there.session();
    await holder.sql('BEGIN; LOCK TABLE parent IN SHARE MODE');
    const loading = target.restore(inPieces(bytes, 65_536), 'custom', signal);
    const waiting = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = '${there.name}' AND wait_event_type = 'Lock'`;
    await expect.poll(async () => (await there.sql(waiting))[0]!['n']).toBe(1);
    await holder.sql('COMMIT');
    await loading;
    expect(compareFacts(facts, await target.facts(facts, signal))).toEqual([]);
  });

  test('of an owner who was denied to write into his own table', async () => {
    const role = `owner_${process.pid}`;
    const source = await server.createDatabase();
    const there = await server.createDatabase();
    await source.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO ${role}`);
    await there.sql(`GRANT CREATE ON SCHEMA public TO ${role}`);
    try {
      await source.sql(`SET ROLE ${role};
        CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept SELECT generate_series(1, 10);
        CREATE SEQUENCE stopped; SELECT nextval('stopped'); CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM kept;
        REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON kept FROM ${role}; REVOKE UPDATE ON stopped FROM ${role}`);
      const { bytes, facts } = await archiveOf(source);
      const url = new URL(there.url);
      url.username = role;
      url.password = 'x';
      await using target = await openPostgresTarget(parseDatabaseUrl(url.href).connection, { jobs: 2 });
      await target.restore(inPieces(bytes, 65_536), 'custom', signal);
      expect(compareFacts(facts, await target.facts(facts, signal))).toEqual([]);
      const grants = `SELECT relname, relacl::text FROM pg_class WHERE relname IN ('kept', 'stopped') ORDER BY 1`;
      expect(await there.sql(grants)).toEqual(await source.sql(grants));
    } finally {
      for (const { sql } of [source, there]) await sql(`RESET ROLE; DROP OWNED BY ${role}`);
      await source.sql(`DROP ROLE ${role}`);
    }
  });

  test('that is cut, or that the database does not take, is an error', async () => {
    const source = await server.createDatabase();
    await source.sql(
      'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT 70000000 + generate_series(1, 10000)',
    );
    const { bytes, facts } = await archiveOf(source);
    for (const at of [bytes.length - 5, bytes.length >> 1, 3000])
      await expect(loaded({ bytes: bytes.subarray(0, at), facts })).rejects.toMatchObject({
        code: 'DATABASE_FAILED',
      });
    const wrong = Buffer.from(bytes);
    wrong.write('x', bytes.indexOf('70000007'));
    await expect(loaded({ bytes: wrong, facts })).rejects.toThrow(/invalid input syntax/);
    const twice = Buffer.from(bytes);
    twice.write('70000007', bytes.indexOf('70000008'));
    await expect(loaded({ bytes: twice, facts })).rejects.toThrow(/t_pkey|could not create unique index/);
  });

  test('that is stopped leaves no connection behind', async () => {
    const source = await server.createDatabase();
    await source.sql(
      'CREATE TABLE t (v text); INSERT INTO t SELECT repeat(md5(i::text), 1000) FROM generate_series(1, 1000) i',
    );
    const { bytes } = await archiveOf(source);
    const there = await server.createDatabase();
    await using target = await openPostgresTarget(connection(there), { jobs: 2 });
    const stop = new AbortController();
    const reason = new Error('stopped');
    let sent = 0;
    const slow = Readable.from(
      (async function* () {
        for (let at = 0; at < bytes.byteLength; at += 65_536) {
          if (++sent === 200) stop.abort(reason);
          yield bytes.subarray(at, at + 65_536);
        }
      })(),
      { objectMode: false },
    );
    await expect(target.restore(slow, 'custom', stop.signal)).rejects.toBe(reason);
    await expect
      .poll(async () => {
        const rows = await source.sql(
          `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = '${there.name}'`,
        );
        return rows[0]!['n'];
      })
      .toBe(1);
  });
});
