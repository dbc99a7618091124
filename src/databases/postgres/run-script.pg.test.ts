import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { copyIn } from './copy-in.ts';
import { openSession } from './open-session.ts';
import { runSqlScript } from './run-script.ts';

let server: PostgresServer;
let database: PostgresTestDatabase;
beforeAll(async () => {
  server = await postgresServer();
  database = await server.createDatabase();
});
afterAll(() => server[Symbol.asyncDispose]());

const doing = { action: 'run the script', database: 'test', user: undefined };
const open = () => openSession(parseDatabaseUrl(database.url, {}).connection, { doing });

const SCRIPT = `
SET client_encoding = 'UTF8';
\\restrict x
CREATE TABLE films (id int PRIMARY KEY, title text);
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $_$ BEGIN RETURN 1; END $_$;
COPY films (id, title) FROM stdin;
1\tA;B
2\t\\N
\\.
INSERT INTO films VALUES (f() + 2, 'it''s; ä');
`;

test('a script is run as psql would', async () => {
  await using session = await open();
  expect(await runSqlScript(session, [SCRIPT], { doing })).toEqual({ statements: 5, rows: 2 });
  expect(await database.sql('SELECT id, title FROM films ORDER BY id')).toEqual([
    { id: 1, title: 'A;B' },
    { id: 2, title: null },
    { id: 3, title: "it's; ä" },
  ]);
});

test('parts may be left out', async () => {
  await using session = await open();
  const skip = ({ text }: { text: string }) => text.startsWith('SELECT 1');
  expect(await runSqlScript(session, ['SELECT 1/0; SELECT 2'], { doing, skip })).toEqual({
    statements: 1,
    rows: 0,
  });
});

test.each([
  ['SELECT 1;\n\nSELECT nothing;', 'COLUMN_NOT_FOUND', 'line 3'],
  ['CREATE TEMP TABLE t (n int);\nCOPY t FROM stdin;\n1\nx\n\\.\n', 'DATABASE_FAILED', 'line 2'],
  ['\\connect other', 'CONFIG_INVALID', 'line 1'],
  ["SET client_encoding = 'LATIN1';", 'CONFIG_INVALID', 'line 1'],
])('the line of an error is told: %j', async (script, code, line) => {
  await using session = await open();
  const running = runSqlScript(session, [script], { doing });
  await expect(running).rejects.toMatchObject({ code, message: expect.stringContaining(line) });
  expect((await session.client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
});

test('rows are read as fast as the server takes them', async () => {
  await using session = await open();
  await session.client.query('CREATE TEMP TABLE numbers (n bigint, filler text)');
  const line = (n: number) => `${n}\t${'x'.repeat(1000)}\n`;
  let unsentBytesMax = 0;
  const { stream } = (session.client as unknown as { connection: { stream: { writableLength: number } } })
    .connection;
  async function* rows(): AsyncGenerator<string> {
    for (let n = 0; n < 20_000; n += 50) {
      unsentBytesMax = Math.max(unsentBytesMax, stream.writableLength);
      yield Array.from({ length: 50 }, (_, i) => line(n + i)).join('');
    }
  }
  expect(await copyIn(session.client, 'COPY numbers FROM STDIN', rows())).toBe(20_000);
  expect(unsentBytesMax).toBeLessThan(1024 ** 2);
});

test('a source that breaks off copies nothing, and its error is thrown', async () => {
  await using session = await open();
  await session.client.query('CREATE TEMP TABLE kept (n int)');
  async function* rows(): AsyncGenerator<string> {
    yield '1\n';
    throw new Error('the disk is gone');
  }
  await expect(copyIn(session.client, 'COPY kept FROM STDIN', rows())).rejects.toThrow('the disk is gone');
  expect((await session.client.query('SELECT count(*)::int AS rows FROM kept')).rows).toEqual([{ rows: 0 }]);
});

test('a connection that is lost ends the copy', async () => {
  await using session = await open();
  await session.client.query('CREATE TEMP TABLE lost (t text)');
  const { rows } = await session.client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  async function* endless(): AsyncGenerator<string> {
    for (let n = 0; ; n++) {
      if (n === 100) await database.sql(`SELECT pg_terminate_backend(${rows[0]!.pid})`);
      yield `${'x'.repeat(10_000)}\n`;
    }
  }
  await expect(copyIn(session.client, 'COPY lost FROM STDIN', endless())).rejects.toThrow();
});
