/** What keeps a replication from starting: each said in one line, with what to do, and before anything is made. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { pgbouncerAvailable, startPgbouncer } from '../../../test/servers/pgbouncer.ts';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { checkReplication } from './check.ts';
import { dropReplicationOf, replicate } from './run.ts';
import type { ReplicateOptions } from './settings.ts';

let postgres: PostgresServer;
let database: PostgresTestDatabase;
let folder: string;
beforeAll(async () => {
  postgres = await postgresServer();
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  database = await postgres.createDatabase();
  folder = mkdtempSync(join(tmpdir(), 'longshore-lake-'));
  return () => rmSync(folder, { recursive: true, force: true });
});

const optionsOf = (more: Partial<ReplicateOptions> = {}): ReplicateOptions => ({
  from: database.url,
  to: `file://${folder}/`,
  name: 'checked',
  untilCaughtUp: true,
  ...more,
});

/** The check says it, a start refuses for it, and nothing is left behind. */
async function expectRefused(options: ReplicateOptions, what: string, fix: string): Promise<void> {
  const { findings, errors } = await checkReplication(options);
  expect(errors).toBeGreaterThan(0);
  const found = findings.find((finding) => finding.level === 'error' && finding.what.includes(what));
  expect(found?.fix, JSON.stringify(findings)).toContain(fix);
  await expect(replicate(options)).rejects.toMatchObject({
    message: expect.stringContaining(what),
    hint: expect.stringContaining(fix),
  });
  const left =
    await database.sql(`SELECT slot_name::text AS name FROM pg_replication_slots WHERE database = current_database()
    UNION ALL SELECT pubname::text FROM pg_publication`);
  expect(left).toEqual([]);
  expect(readdirSync(folder, { recursive: true }).filter((name) => /[^/]\.\w+$/.test(String(name)))).toEqual(
    [],
  );
}

test('a job that may start has no errors', async () => {
  await database.sql('CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)');
  const { findings, errors } = await checkReplication(optionsOf());
  expect(errors).toBe(0);
  expect(findings.map(({ level, what }) => `${level}: ${what}`)).toEqual([
    expect.stringContaining('warning: the server keeps any amount of its log for a slot'),
    expect.stringContaining('info: public.t: the generated columns twice are in the full load alone'),
  ]);
  expect(readdirSync(folder, { recursive: true }).filter((name) => String(name).endsWith('.json'))).toEqual(
    [],
  );
});

test('a table that is not there', async () => {
  await database.sql('CREATE TABLE t (id int PRIMARY KEY)');
  await expectRefused(optionsOf({ tables: 'public.T' }), 'has no table public.T', 'capitals count');
});

test('tables whose names differ by case alone', async () => {
  await database.sql('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE "T" (id int PRIMARY KEY)');
  await expectRefused(optionsOf(), 'public.T and public.t differ by case alone', '--tables');
});

test('columns whose names differ by case alone', async () => {
  await database.sql('CREATE TABLE t (id int PRIMARY KEY, "ID" int)');
  await expectRefused(optionsOf(), 'id and ID of public.t differ by case alone', 'rename one');
});

test('a role that may neither read nor replicate', async () => {
  await database.sql(`CREATE TABLE t (id int PRIMARY KEY); DROP ROLE IF EXISTS longshore_nobody;
    CREATE ROLE longshore_nobody LOGIN PASSWORD 'none'`);
  const url = new URL(database.url);
  url.username = 'longshore_nobody';
  url.password = 'none';
  try {
    await expectRefused(optionsOf({ from: url.href }), 'the role may not replicate', 'ALTER ROLE');
    await database.sql('ALTER ROLE longshore_nobody REPLICATION');
    await expectRefused(optionsOf({ from: url.href }), 'the role may not read public.t', 'GRANT SELECT');
    await database.sql('GRANT SELECT ON t TO longshore_nobody');
    await expectRefused(
      optionsOf({ from: url.href }),
      'does not own public.t',
      'GRANT the role that owns it',
    );
  } finally {
    await database.sql('DROP OWNED BY longshore_nobody; DROP ROLE longshore_nobody');
  }
});

test('a target that refuses to be written', async () => {
  await database.sql('CREATE TABLE t (id int PRIMARY KEY)');
  await expectRefused(optionsOf({ to: `file://${folder}/absent/` }), 'absent', '');
});

describe.skipIf(!pgbouncerAvailable())('behind a pooler', () => {
  test('whatever the mode', async () => {
    await database.sql('CREATE TABLE t (id int PRIMARY KEY)');
    await using pooler = await startPgbouncer(database.url);
    for (const mode of ['full-load', 'full-load-and-cdc'] as const) {
      await expectRefused(
        optionsOf({ from: pooler.url, mode }),
        'the URL leads to a pooler of connections',
        'host and port of the server itself',
      );
    }
    await replicate(optionsOf());
    await dropReplicationOf(optionsOf());
  });
});
