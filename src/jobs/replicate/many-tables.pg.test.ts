/** One transaction over many tables, none of which is large enough alone to be written before it ends. */

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { lakeJob } from '../../../test/worlds/lake-job.ts';

const job = lakeJob('many', { every: 120_000 });

const TABLES = 15;
const ROWS = 1000;

test('every row of every table comes once, as it is', async () => {
  const names = Array.from({ length: TABLES }, (_, i) => `t${i}`);
  await job.land(names.map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY, v text)`).join(';'));
  const large = (i: string): string =>
    `(SELECT string_agg(md5(${i}::text || n), '') FROM generate_series(1, 280) n)`;
  const inserts = names.map(
    (name) => `INSERT INTO ${name} SELECT i, ${large('i')} FROM generate_series(1, ${ROWS}) i`,
  );
  const updates = names.map((name) => `UPDATE ${name} SET v = 'short' WHERE id % 10 = 0`);
  await job.land(`BEGIN; ${[...inserts, ...updates].join(';')}; COMMIT`);
  for (const name of names) {
    const changes = job.lake.changesOf(name);
    expect(changes.map(({ Op }) => Op).join('')).toBe('I'.repeat(ROWS) + 'U'.repeat(ROWS / 10));
    const rows = await job.database.sql(`SELECT id, md5(v) AS hash FROM ${name} ORDER BY id`);
    const replica = [...job.lake.current(name).values()].map(({ id, v }) => ({
      id,
      hash: createHash('md5').update(String(v)).digest('hex'),
    }));
    expect(replica.sort((a, b) => Number(a.id) - Number(b.id))).toEqual(rows);
  }
});
