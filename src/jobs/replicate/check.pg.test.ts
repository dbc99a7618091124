/** What keeps a replication from starting: each said in one line, with what to do, and before anything is made. */

import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pgbouncerAvailable, startPgbouncer } from '../../../test/servers/pgbouncer.ts';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import { checkReplication } from './check.ts';
import { dropReplicationOf, replicate } from './run.ts';
import type { ReplicateOptions } from './settings.ts';

const job = lakeJob('checked');

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
  expect(await job.onServer()).toEqual([]);
  expect(
    readdirSync(job.folder, { recursive: true }).filter((name) => /[^/]\.\w+$/.test(String(name))),
  ).toEqual([]);
}

test('a job that may start has no errors', async () => {
  await job.database.sql(
    'CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)',
  );
  const { findings, errors } = await checkReplication(job.options());
  expect(errors).toBe(0);
  expect(findings.map(({ level, what }) => `${level}: ${what}`)).toEqual([
    expect.stringContaining('warning: the server keeps any amount of its log for a slot'),
    expect.stringContaining('info: public.t: the generated columns twice are in the full load alone'),
  ]);
  expect(
    readdirSync(job.folder, { recursive: true }).filter((name) => String(name).endsWith('.json')),
  ).toEqual([]);
});

test('a table that is not there', async () => {
  await job.database.sql('CREATE TABLE t (id int PRIMARY KEY)');
  await expectRefused(job.options({ tables: 'public.T' }), 'has no table public.T', 'capitals count');
});

test('tables whose names differ by case alone', async () => {
  await job.database.sql('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE "T" (id int PRIMARY KEY)');
  await expectRefused(job.options(), 'public.T and public.t differ by case alone', '--tables');
});

test('columns whose names differ by case alone', async () => {
  await job.database.sql('CREATE TABLE t (id int PRIMARY KEY, "ID" int)');
  await expectRefused(job.options(), 'id and ID of public.t differ by case alone', 'rename one');
});

test('a role that may neither read nor replicate', async () => {
  await job.database.sql(`CREATE TABLE t (id int PRIMARY KEY); DROP ROLE IF EXISTS longshore_nobody;
    CREATE ROLE longshore_nobody LOGIN PASSWORD 'none'`);
  const url = new URL(job.database.url);
  url.username = 'longshore_nobody';
  url.password = 'none';
  try {
    await expectRefused(job.options({ from: url.href }), 'the role may not replicate', 'ALTER ROLE');
    await job.database.sql('ALTER ROLE longshore_nobody REPLICATION');
    await expectRefused(job.options({ from: url.href }), 'the role may not read public.t', 'GRANT SELECT');
    await job.database.sql('GRANT SELECT ON t TO longshore_nobody');
    await expectRefused(
      job.options({ from: url.href }),
      'does not own public.t',
      'GRANT the role that owns it',
    );
  } finally {
    await job.database.sql('DROP OWNED BY longshore_nobody; DROP ROLE longshore_nobody');
  }
});

test('a target that refuses to be written', async () => {
  await job.database.sql('CREATE TABLE t (id int PRIMARY KEY)');
  await expectRefused(job.options({ to: `file://${job.folder}/absent/` }), 'absent', '');
});

describe.skipIf(!pgbouncerAvailable())('behind a pooler', () => {
  test('whatever the mode', async () => {
    await job.database.sql('CREATE TABLE t (id int PRIMARY KEY)');
    await using pooler = await startPgbouncer(job.database.url);
    for (const mode of ['full-load', 'full-load-and-cdc'] as const) {
      await expectRefused(
        job.options({ from: pooler.url, mode }),
        'the URL leads to a pooler of connections',
        'host and port of the server itself',
      );
    }
    await job.run();
    await dropReplicationOf(job.options());
  });
});
