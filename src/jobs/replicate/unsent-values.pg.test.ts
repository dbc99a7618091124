/** Values that updates do not send because they are stored apart: each comes whole, wherever its row is by then. */

import { beforeEach, expect, test } from 'vitest';
import { sqlAtOnce } from '../../../test/servers/sql-at-once.ts';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import type { ReplicateOptions } from './settings.ts';

const job = lakeJob('unsent');
beforeEach(() =>
  job.land(`CREATE TABLE t (id int, part text, v int, doc text, raw bytea, PRIMARY KEY (part, id));
    ALTER TABLE t ALTER doc SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL;
    INSERT INTO t SELECT i, 'ä', 0, repeat('d' || i, 1000), decode(repeat(md5(i::text), 1000), 'hex') FROM generate_series(1, 300) i`),
);

/** The changes of the last run, with what they say of the large values. */
async function changes(more: Partial<ReplicateOptions> = {}) {
  await job.run(more);
  return job.lake.changesOf('t').map((row) => ({
    op: row['Op'],
    id: row['id'],
    v: row['v'],
    doc: row['doc'] as string | null,
    raw: row['raw'] === null ? null : Buffer.from(row['raw'] as Uint8Array).toString('hex'),
    reread: row['_reread'],
  }));
}

const docOf = (id: number): string => `d${id}`.repeat(1000);
const rawOf = async (id: number): Promise<string> =>
  String((await job.database.sql(`SELECT repeat(md5('${id}'), 1000) AS raw`))[0]!['raw']);

test('from the table, and it is said so', async () => {
  await job.database.sql('UPDATE t SET v = 1 WHERE id = 7');
  expect(await changes()).toEqual([
    { op: 'U', id: 7, v: 1, doc: docOf(7), raw: await rawOf(7), reread: 'doc,raw' },
  ]);
});

test('from the full load, where the row is gone', async () => {
  await job.database.sql('UPDATE t SET v = 1 WHERE id = 7; DELETE FROM t WHERE id = 7');
  const [update, deletion] = await changes();
  expect(update).toEqual({ op: 'U', id: 7, v: 1, doc: docOf(7), raw: await rawOf(7), reread: null });
  expect(deletion).toMatchObject({ op: 'D', id: 7 });
});

test('from an earlier change of the same epoch, where the row is gone', async () => {
  await job.database.sql(`UPDATE t SET doc = repeat('new', 2000) WHERE id = 7; UPDATE t SET v = 1 WHERE id = 7;
    INSERT INTO t VALUES (900, 'ä', 0, repeat('born', 2000), '\\x00ff'); UPDATE t SET v = 2 WHERE id = 900;
    DELETE FROM t WHERE id IN (7, 900)`);
  const all = await changes();
  expect(
    all.filter(({ op }) => op !== 'D').map(({ id, v, doc, reread }) => ({ id, v, doc, reread })),
  ).toEqual([
    { id: 7, v: 0, doc: 'new'.repeat(2000), reread: null },
    { id: 7, v: 1, doc: 'new'.repeat(2000), reread: null },
    { id: 900, v: 0, doc: 'born'.repeat(2000), reread: null },
    { id: 900, v: 2, doc: 'born'.repeat(2000), reread: null },
  ]);
});

test('from an earlier change of the same epoch, before columns were changed', async () => {
  await job.database.sql(`UPDATE t SET doc = repeat('new', 2000) WHERE id = 7; ALTER TABLE t ADD w int;
    UPDATE t SET v = 1 WHERE id = 7; DELETE FROM t WHERE id = 7`);
  const all = await changes();
  expect(all.map(({ op, v, doc, reread }) => ({ op, v, doc, reread }))).toEqual([
    { op: 'U', v: 0, doc: 'new'.repeat(2000), reread: null },
    { op: 'U', v: 1, doc: 'new'.repeat(2000), reread: null },
    { op: 'D', v: null, doc: null, reread: null },
  ]);
});

test('not from before the column was made: it is said that nothing is known', async () => {
  // A table that is rewritten has values that no change has sent.
  await job.database.sql(`CREATE FUNCTION noise() RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 300) $$;
    ALTER TABLE t ADD made text DEFAULT noise()`);
  await job.land('UPDATE t SET v = 1 WHERE id = 7; DELETE FROM t WHERE id = 7');
  // Neither does the change say it that was landed without the value.
  await job.land('UPDATE t SET v = 2 WHERE id = 8; ALTER TABLE t DROP made');
  const all = job.lake.changesOf('t').filter(({ Op }) => Op === 'U');
  expect(all.map(({ id, v, made, _reread }) => ({ id, v, made, _reread }))).toEqual([
    { id: 7, v: 1, made: null, _reread: 'made' },
    { id: 8, v: 2, made: null, _reread: 'made' },
  ]);
});

test('what was read too late for one change is no more than that for the next', async () => {
  await job.database.sql('UPDATE t SET v = 1 WHERE id = 7');
  await job.database.sql('UPDATE t SET v = 2 WHERE id = 7');
  await job.database.sql("UPDATE t SET doc = repeat('later', 2000) WHERE id = 7");
  let landed = 0;
  // Each transaction is an epoch.
  await job.run(
    { maxFileSize: 1 },
    {
      emit: ({ type }) => {
        if (type === 'epoch-landed' && ++landed === 1)
          sqlAtOnce(job.database.url, 'DELETE FROM t WHERE id = 7');
      },
    },
  );
  const all = job.lake.changesOf('t');
  expect(all.map(({ v, doc, _reread }) => ({ v, doc, _reread }))).toEqual([
    { v: 1, doc: 'later'.repeat(2000), _reread: 'doc,raw' },
    { v: 2, doc: 'later'.repeat(2000), _reread: 'doc,raw' },
    { v: 2, doc: 'later'.repeat(2000), _reread: 'raw' },
  ]);
});

test('from an earlier epoch, not from the one before it', async () => {
  await job.land("UPDATE t SET doc = repeat('second', 2000) WHERE id = 7");
  await job.land("UPDATE t SET doc = repeat('third', 2000) WHERE id = 7");
  await job.database.sql('UPDATE t SET v = 9 WHERE id = 7; DELETE FROM t WHERE id = 7');
  expect((await changes()).find(({ v }) => v === 9)?.doc).toBe('third'.repeat(2000));
});

test('of a row whose key changed, and that is gone', async () => {
  await job.database.sql(
    `UPDATE t SET part = 'b' WHERE id = 7; UPDATE t SET v = 3 WHERE id = 7; DELETE FROM t WHERE id = 7`,
  );
  const all = await changes();
  expect(all.map(({ op }) => op)).toEqual(['D', 'I', 'U', 'D']);
  for (const { op, doc, raw } of all) {
    if (op !== 'D') expect({ doc, raw }).toEqual({ doc: docOf(7), raw: await rawOf(7) });
  }
});

test('of many rows at once, some there and some gone, and the table is gone in the end', async () => {
  await job.land(
    `INSERT INTO t SELECT i, 'm', 0, repeat('m' || i, 1000), NULL FROM generate_series(1, 2000) i`,
  );
  for (let v = 1; v <= 3; v++) await job.database.sql(`UPDATE t SET v = ${v} WHERE part = 'm'`);
  await job.database.sql(`DELETE FROM t WHERE part = 'm' AND id % 2 = 0`);
  const all = (await changes({ maxFileSize: 2 * 1024 ** 2 })).filter(({ op }) => op === 'U');
  expect(all).toHaveLength(6000);
  const wrong = all.filter(({ id, doc }) => doc !== `m${id}`.repeat(1000));
  expect(wrong).toEqual([]);
  await job.expectSame();
  await job.database.sql(
    "UPDATE t SET v = 5 WHERE part = 'ä' AND id < 5; DROP TABLE t; CREATE TABLE other (id int PRIMARY KEY)",
  );
  const last = (await changes()).filter(({ v }) => v === 5);
  expect(last.map(({ id, doc }) => ({ id, doc }))).toEqual(
    [1, 2, 3, 4].map((id) => ({ id, doc: docOf(id) })),
  );
});

test('with the whole old row at hand nothing is read', async () => {
  await job.database.sql(
    'ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET v = 1 WHERE id = 7; DELETE FROM t WHERE id = 7',
  );
  const all = await changes();
  expect(all.map(({ op, doc, reread }) => ({ op, doc, reread }))).toEqual([
    { op: 'U', doc: docOf(7), reread: undefined },
    { op: 'D', doc: docOf(7), reread: undefined },
  ]);
});
