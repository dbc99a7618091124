/** The snapshot of a full load, and what others do to its tables meanwhile. */

import { setTimeout as wait } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { sqlAtOnce } from '../../../test/servers/sql-at-once.ts';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import type { ReplicateEvent } from './events.ts';

const job = lakeJob('snapshot');
beforeEach(() =>
  job.database.sql(`CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
    INSERT INTO a SELECT i, 'a' FROM generate_series(1, 1000) i; INSERT INTO b SELECT i, 'b' FROM generate_series(1, 1000) i`),
);

/** As many sessions wait for a lock. */
async function waiting(count: number): Promise<void> {
  for (let left = 500; left > 0; left--) {
    const [row] = await job.database.sql(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
    );
    if (row?.['n'] === count) return;
    await wait(20);
  }
  throw new Error(`${count} sessions never waited`);
}

async function expectWhole(table: string): Promise<void> {
  const rows = await job.database.sql(`SELECT id FROM ${table} ORDER BY id`);
  const replica = [...job.lake.current(table).keys()].map(Number);
  expect(replica.sort((one, other) => one - other)).toEqual(rows.map(({ id }) => Number(id)));
}

test.each(['TRUNCATE b', 'ALTER TABLE b RENAME v TO w'])(
  '%s waits for the load, and the load not for it',
  async (statement) => {
    let changing: Promise<unknown> | undefined;
    const chunks: ReplicateEvent[] = [];
    await job.run(
      { workers: 1, tables: ['public.a', 'public.b'] },
      {
        emit: (event) => {
          if (event.type === 'load-started') changing = job.database.sql(statement);
          if (event.type === 'chunk-loaded') chunks.push(event);
        },
      },
    );
    await changing;
    expect(chunks).toHaveLength(2);
    await job.run();
    await expectWhole('b');
  },
);

describe('before the tables are locked', () => {
  test.each([
    ['TRUNCATE b', 'truncated or rewritten'],
    ['ALTER TABLE b ALTER id TYPE bigint', 'truncated or rewritten'],
    ['ALTER TABLE b RENAME v TO w', 'columns of "public"."b" were changed'],
    ['ALTER TABLE b DROP v', 'columns of "public"."b" were changed'],
    ['ALTER TABLE b ADD x int', 'columns of "public"."b" were changed'],
    ['ALTER TABLE b RENAME TO c; CREATE TABLE b (id int PRIMARY KEY, v text)', 'is another table now'],
    ['DROP TABLE a', 'a table was dropped or renamed'],
  ])('%s has another snapshot taken', async (statement, why) => {
    let changed = false;
    await job.run(
      {},
      {
        failpoint: (name) => {
          if (name !== 'snapshot-taken' || changed) return;
          changed = true;
          sqlAtOnce(job.database.url, statement);
        },
      },
    );
    await job.run();
    await expectWhole('b');
    expect(job.notices.join('\n')).toContain(why);
  });
});

test('what every kind of column is called and typed is no difference', async () => {
  await job.database.sql(`CREATE DOMAIN d AS numeric(10, 2); CREATE DOMAIN dd AS d CHECK (VALUE > 0);
    CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (x int, y text);
    CREATE TABLE c (id int PRIMARY KEY, one d, two dd, m mood, p pair, many dd[], v varchar(20), c char(3), n numeric,
      dropped int, s int GENERATED ALWAYS AS (id * 2) STORED);
    ALTER TABLE c DROP dropped; ALTER TABLE c ADD later timestamptz(3); INSERT INTO c (id) VALUES (1);
    CREATE TABLE parts (id int PRIMARY KEY, v dd) PARTITION BY RANGE (id);
    CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10); INSERT INTO parts VALUES (1, 1)`);
  await job.run();
  expect(job.notices).toEqual([]);
  for (const table of ['c', 'parts']) await expectWhole(table);
});

test('whoever has a table to himself is waited for', async () => {
  await using other = await job.database.session();
  await other.sql('BEGIN; LOCK TABLE b IN ACCESS EXCLUSIVE MODE');
  const running = job.run();
  await waiting(1);
  await other.sql('COMMIT');
  await running;
  await expectWhole('b');
});
