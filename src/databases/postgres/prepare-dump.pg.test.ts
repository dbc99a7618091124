/** Dumps of real databases, brought back and held against what the dump said of itself. */

import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installedPgDump } from '../../../test/servers/pg-dump.ts';
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts';
import { loadPagila, pagilaAvailable } from '../../../test/worlds/pagila.ts';
import { TORTURE_DATABASE } from '../../../test/worlds/torture-database.ts';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import type { DumpFacts, DumpFormat } from '../dump.ts';
import { DumpArchive } from './dump-archive.ts';
import { DumpContent } from './dump-content.ts';
import { preparePostgresDump } from './prepare-dump.ts';
import { openPostgresTarget } from './restore-target.ts';

const pgDump = await installedPgDump();

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const signal = new AbortController().signal;
const connection = (url: string) => parseDatabaseUrl(url).connection;

async function dumped(url: string, format: DumpFormat) {
  await using dump = await preparePostgresDump(connection(url), { format });
  const bytes = await buffer(dump.stream(signal));
  return { bytes, facts: dump.facts(), dump };
}

async function restored(
  bytes: Buffer,
  format: DumpFormat,
  jobs = 2,
): Promise<{ facts: DumpFacts; url: string }> {
  const { url } = await server.createDatabase();
  await using target = await openPostgresTarget(connection(url), { jobs });
  expect(await target.contents()).toEqual([]);
  const pieces = Array.from({ length: Math.ceil(bytes.length / 70_001) }, (_, i) =>
    bytes.subarray(i * 70_001, (i + 1) * 70_001),
  );
  await target.restore(Readable.from(pieces, { objectMode: false }), format, signal);
  expect((await target.contents()).length).toBeGreaterThan(3);
  return { facts: await target.facts({} as DumpFacts, signal), url };
}

describe.skipIf(pgDump === undefined)('a dump', () => {
  test('locks tables alone: the server has room for so many locks', async () => {
    const source = await server.createDatabase();
    await source.sql('CREATE TABLE one (id serial)');
    await using dump = await preparePostgresDump(connection(source.url), {});
    expect(dump.server.product).toBe('PostgreSQL');
    const locked = await source.sql(
      `SELECT c.relname::text AS name FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
       WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND c.relnamespace = 'public'::regnamespace`,
    );
    expect(locked).toEqual([{ name: 'one' }]);
  });

  test('of every form has names with line breaks, and is read in pieces of any size', async () => {
    const source = await server.createDatabase();
    await source.sql(
      `CREATE TABLE "a \n b" ("c\nd" serial, "it's a ""name" text); INSERT INTO "a \n b" DEFAULT VALUES;
       CREATE TABLE last (id int); INSERT INTO last VALUES (1)`,
    );
    const { bytes, facts } = await dumped(source.url, 'custom');
    expect(facts.tables.map(({ name, rows }) => `${name} ${rows}`)).toEqual(['a \n b 1', 'last 1']);
    for (const form of ['plain', 'directory'] as const)
      expect((await dumped(source.url, form)).facts).toEqual(facts);
    for (let at = 1; at < bytes.length; at += 97) {
      const content = new DumpContent();
      const archive = new DumpArchive(content);
      archive.push(bytes.subarray(0, at));
      archive.push(bytes.subarray(at));
      archive.end();
      expect(content.table({ schema: 'public', name: 'last' }).rows).toBe(1);
    }
  });

  test('of every form has what the database has, and brings it back', async () => {
    const source = await server.createDatabase();
    await source.sql(TORTURE_DATABASE);
    const custom = await dumped(source.url, 'custom');
    await using target = await openPostgresTarget(connection(source.url), {});
    expect(custom.facts).toEqual(await target.facts(custom.facts, signal));
    expect(custom.facts.tables.map(({ schema, name, rows }) => `${schema}.${name} ${rows}`)).toEqual([
      'Odd "Schema.a b.c 5',
      'public.child 1',
      'public.empty 0',
      'public.fast 2',
      'public.nothing 1',
      'public.parent 1',
      'public.parted_1 99',
      'public.parted_2 101',
    ]);
    expect(custom.facts).toMatchObject({
      sequences: { 'public.empty_id_seq': '41 true', 'public.un.used': '7 false' },
      largeObjects: 2,
    });
    expect(custom.facts.objects).toContain('trigger touched on public.empty');
    const plain = await dumped(source.url, 'plain');
    expect(plain.facts).toEqual(custom.facts);
    const directory = await dumped(source.url, 'directory');
    expect(directory.facts).toEqual(custom.facts);
    for (const [form, bytes, jobs] of [
      ['custom', custom.bytes, 1],
      ['custom', custom.bytes, 2],
      ['plain', plain.bytes, 1],
      ['directory', directory.bytes, 2],
    ] as const)
      expect((await restored(bytes, form, jobs)).facts, `${form} ${jobs}`).toEqual(custom.facts);
  });

  test('tells of each change of a database', async () => {
    const source = await server.createDatabase();
    await source.sql(TORTURE_DATABASE);
    await using target = await openPostgresTarget(connection(source.url), {});
    const before = await target.facts({} as DumpFacts, signal);
    for (const change of [
      `UPDATE fast SET f = 0.2 WHERE f = 0.1`,
      `UPDATE parted SET v = 'v' || (id + 1) WHERE id = 5`,
      `DELETE FROM child`,
      `INSERT INTO nothing DEFAULT VALUES`,
      `SELECT nextval('empty_id_seq')`,
      `DROP TRIGGER touched ON empty`,
      `SELECT lo_unlink(min(oid)) FROM pg_largeobject_metadata`,
    ]) {
      await source.sql(change);
      const after = await target.facts({} as DumpFacts, signal);
      expect(after, change).not.toEqual(before);
    }
  });

  test.skipIf(!pagilaAvailable())('of pagila is pagila', async () => {
    const source = await server.createDatabase();
    await loadPagila(source.url);
    const { bytes, facts } = await dumped(source.url, 'custom');
    expect((await restored(bytes, 'custom')).facts).toEqual(facts);
  });
});

describe('a dump program', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'longshore-client-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const withProgram = async (script: string): Promise<unknown> => {
    const path = join(folder, 'pg_dump');
    await writeFile(
      path,
      `#!/bin/sh\n[ "$1" = --version ] && echo 'pg_dump (PostgreSQL) 99.1' && exit 0\n${script}\n`,
    );
    await chmod(path, 0o755);
    const { url } = await server.createDatabase();
    await using dump = await preparePostgresDump(connection(url), { format: 'plain', clientFolder: folder });
    return buffer(dump.stream(signal)).then(
      (bytes) => bytes.toString(),
      (error: unknown) => error,
    );
  };
  const end = `printf -- '--\\n-- PostgreSQL database dump complete\\n--\\n'`;

  test.skipIf(pgDump === undefined)('has to end well', async () => {
    expect(await withProgram(end)).toContain('dump complete');
    expect(await withProgram(`${end}; echo 'the disk is gone' >&2; exit 2`)).toMatchObject({
      code: 'DATABASE_FAILED',
      message: expect.stringMatching(/pg_dump ended with code 2: the disk is gone/),
    });
    expect(await withProgram(`${end}; exec >&-; sleep 0.2; exit 1`)).toMatchObject({
      code: 'DATABASE_FAILED',
    });
    expect(await withProgram(`${end}; kill -9 $$`)).toMatchObject({
      message: expect.stringMatching(/SIGKILL/),
    });
    expect(await withProgram(`echo 'CREATE TABLE'`)).toMatchObject({
      message: expect.stringMatching(/last line/),
    });
    expect(await withProgram('true')).toMatchObject({ message: expect.stringMatching(/last line/) });
  });
});
