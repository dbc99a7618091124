/** Copies from one server into another, and what happens when one of them fails. */

import { randomBytes } from 'node:crypto';
import { createServer, Socket } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { pipeCopy } from './copy-pipe.ts';

let server: PostgresServer;
let source: PostgresTestDatabase;
let target: PostgresTestDatabase;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  server = stack.use(await postgresServer());
  source = await server.createDatabase();
  target = await server.createDatabase();
  const text = 'CREATE TABLE t (id int, v text)';
  await source.sql(
    `${text}; INSERT INTO t SELECT i, repeat(md5(i::text), i % 7) FROM generate_series(1, 200000) i`,
  );
  await target.sql(text);
});
afterAll(() => stack.disposeAsync());

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  stack.defer(() => client.end().catch(() => undefined));
  return client;
}

const NEVER = new AbortController().signal;
const rowsOf = async (table = 't') =>
  (
    await target.sql(
      `SELECT count(*)::int AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text AS sum FROM ${table} t`,
    )
  )[0];

describe('every row as it is', () => {
  test.each(['(FORMAT binary)', '(FORMAT text)'])('%s', async (form) => {
    const [from, to] = [await connect(source.url), await connect(target.url)];
    const expected = (
      await source.sql(`SELECT count(*)::int AS rows, sum(hashtextextended(t::text, 0))::text AS sum FROM t`)
    )[0];
    for (let i = 0; i < 2; i++) {
      await target.sql('TRUNCATE t');
      const { rows, bytes } = await pipeCopy(
        { client: from, text: `COPY t TO STDOUT ${form}` },
        { client: to, text: `COPY t FROM STDIN ${form}` },
        NEVER,
      );
      expect(rows).toBe(200_000);
      expect(bytes).toBeGreaterThan(20_000_000);
      expect(await rowsOf()).toEqual(expected);
    }
    // Both may be used again.
    expect((await from.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    expect((await to.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  test('none, one, and one that is large', async () => {
    const [from, to] = [await connect(source.url), await connect(target.url)];
    await source.sql(`CREATE TABLE large (v bytea); ALTER TABLE large ALTER v SET STORAGE EXTERNAL`);
    await target.sql('CREATE TABLE large (v bytea)');
    for (const megabytes of [0, 0, 60]) {
      const copy = () =>
        pipeCopy(
          { client: from, text: 'COPY large TO STDOUT (FORMAT binary)' },
          { client: to, text: 'COPY large FROM STDIN (FORMAT binary)' },
          NEVER,
        );
      await target.sql('TRUNCATE large');
      expect(await copy()).toMatchObject({ rows: (await source.sql('SELECT FROM large')).length });
      const piece = randomBytes(1024).toString('hex');
      await source.sql(`INSERT INTO large SELECT decode(repeat('${piece}', ${megabytes * 1024}), 'hex')`);
    }
    await target.sql('TRUNCATE large');
    await pipeCopy(
      { client: from, text: 'COPY large TO STDOUT' },
      { client: to, text: 'COPY large FROM STDIN' },
      NEVER,
    );
    const text = 'SELECT md5(v) AS md5 FROM large ORDER BY 1';
    expect(await target.sql(text)).toEqual(await source.sql(text));
  });

  test('notices of the source on the way', async () => {
    const [from, to] = [await connect(source.url), await connect(target.url)];
    await source.sql(
      `CREATE FUNCTION told(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row %', repeat('x', i % 100); RETURN i; END $$`,
    );
    await target.sql('CREATE TABLE told (i int)');
    const { rows } = await pipeCopy(
      {
        client: from,
        text: 'COPY (SELECT told(i) FROM generate_series(1, 5000) i) TO STDOUT (FORMAT binary)',
      },
      { client: to, text: 'COPY told FROM STDIN (FORMAT binary)' },
      NEVER,
    );
    expect([rows, await target.sql('SELECT sum(i)::int AS sum FROM told')]).toEqual([
      5000,
      [{ sum: 12_502_500 }],
    ]);
  });
});

describe('what fails', () => {
  const all = (text: string) =>
    `COPY (SELECT i, ${text} FROM generate_series(1, 300000) i) TO STDOUT (FORMAT binary)`;

  test.each([
    [
      'the source, at once',
      'COPY nothing TO STDOUT',
      'COPY t FROM STDIN',
      'relation "nothing" does not exist',
    ],
    [
      'the source, in the middle',
      all('(100 / (200000 - i))::text'),
      'COPY t FROM STDIN (FORMAT binary)',
      'division by zero',
    ],
    [
      'the target, at once',
      'COPY t TO STDOUT',
      'COPY nothing FROM STDIN',
      'relation "nothing" does not exist',
    ],
    [
      'the target, in the middle',
      all("'x'"),
      'COPY checked FROM STDIN (FORMAT binary)',
      'violates check constraint',
    ],
    ['the target, at the end', all("'x'"), 'COPY late FROM STDIN (FORMAT binary)', 'violates foreign key'],
  ])('%s', async (_, out, into, why) => {
    const [from, to] = [await connect(source.url), await connect(target.url)];
    await target.sql(`TRUNCATE t; DROP TABLE IF EXISTS checked, late, keys; CREATE TABLE checked (id int CHECK (id < 1000), v text);
      CREATE TABLE keys (id int PRIMARY KEY); CREATE TABLE late (id int REFERENCES keys, v text)`);
    await to.query('BEGIN');
    await expect(pipeCopy({ client: from, text: out }, { client: to, text: into }, NEVER)).rejects.toThrow(
      why,
    );
    expect(await rowsOf()).toMatchObject({ rows: 0 });
  });

  test('a signal stops both sides', async () => {
    const [from, to] = [await connect(source.url), await connect(target.url)];
    const stop = new AbortController();
    const copy = pipeCopy(
      {
        client: from,
        text: `COPY (SELECT i, pg_sleep(0.001)::text FROM generate_series(1, 1000000) i) TO STDOUT`,
      },
      { client: to, text: 'COPY t FROM STDIN' },
      stop.signal,
    );
    copy.catch(() => undefined);
    await expect.poll(() => stateOf(from, 'state')).toBe('active');
    stop.abort(new Error('stopped'));
    await expect(copy).rejects.toThrow('stopped');
    await expect(from.query('SELECT 1')).rejects.toThrow();
    expect(await rowsOf()).toMatchObject({ rows: 0 });
  });
});

test('a target that does not read stops the source', async () => {
  const { hostname, port } = new URL(target.url);
  let paused: Socket | undefined;
  let passed = 0;
  // Between the program and the target; lets a little through and then nothing until it is told to.
  const proxy = createServer((client) => {
    const upstream = new Socket();
    upstream.connect(Number(port), hostname);
    upstream.pipe(client);
    client.on('data', (bytes) => {
      passed += bytes.byteLength;
      upstream.write(bytes);
      if (passed > 300_000 && paused === undefined) {
        paused = client;
        client.pause();
      }
    });
    client.on('error', () => upstream.destroy());
    client.on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  stack.defer(() => void proxy.close());
  const url = new URL(target.url);
  url.port = String((proxy.address() as { port: number }).port);
  const [from, to] = [await connect(source.url), await connect(url.href)];
  await target.sql('TRUNCATE t');
  const before = process.memoryUsage().arrayBuffers;
  const copy = pipeCopy(
    { client: from, text: `COPY (SELECT i, repeat('x', 1000) FROM generate_series(1, 200000) i) TO STDOUT` },
    { client: to, text: 'COPY t FROM STDIN' },
    NEVER,
  );
  await expect.poll(() => stateOf(from, 'wait_event'), { timeout: 20_000 }).toBe('ClientWrite');
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50_000_000);
  paused!.resume();
  expect((await copy).rows).toBe(200_000);
});

async function stateOf(client: pg.Client, what: 'state' | 'wait_event'): Promise<unknown> {
  const { processID } = client as unknown as { processID: number };
  const [row] = await source.sql(`SELECT ${what} FROM pg_stat_activity WHERE pid = ${processID}`);
  return row?.[what];
}
