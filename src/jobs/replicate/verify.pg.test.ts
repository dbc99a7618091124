/** What a verification of files tells, and what it must not. */

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import { replicaVerifiedText } from '../../report/replicate-text.ts';
import { manifestKey } from './layout.ts';
import type { Manifest } from './manifest.ts';
import type { ReplicateOptions } from './settings.ts';

const job = lakeJob('verify');

/** By table, where there are some. */
const differences = async (more: Partial<ReplicateOptions> = {}) => {
  const { tables } = await job.verify(more);
  return Object.fromEntries(
    tables.flatMap((one) => (one.differencesCount === 0 ? [] : [[one.table, one.differences]])),
  );
};
const edit = (epoch: number, change: (manifest: Manifest) => void) => {
  const path = join(job.folder, manifestKey(job.name, epoch));
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  change(manifest);
  writeFileSync(path, JSON.stringify(manifest));
};

test('files that no manifest names are told', async () => {
  await job.land(
    'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE TABLE u (id int PRIMARY KEY)',
  );
  await job.land('INSERT INTO t VALUES (2)');
  const [change] = job.lake.listed();
  await job.run({ resync: ['public.t'] });
  await job.land('INSERT INTO t VALUES (3)');
  // As a request would do that reaches the store late, and somebody else.
  const whole = join(job.folder, job.lake.listed()[0]!);
  const late = `public/t/${change!.split('/').at(-1)}`;
  for (const key of [late, 'public/t/stray.parquet', 'public/t/of-another.parquet'])
    copyFileSync(whole, join(job.folder, key));
  writeFileSync(join(job.folder, 'public/t/notes.txt'), 'none of ours');
  const [manifest] = job.lake.manifests();
  const file = { ...manifest!.files[0]!, key: 'public/t/of-another.parquet' };
  await job.run({ name: 'another', tables: ['u'], mode: 'full-load' });
  const ofOther = join(job.folder, manifestKey('another', 0));
  writeFileSync(ofOther, JSON.stringify({ ...manifest, job: 'another', files: [file] }));
  const verified = await job.verify();
  expect(change).not.toContain('LOAD');
  expect(verified).toMatchObject({
    differences: 2,
    tables: [{ strayFiles: [late, 'public/t/stray.parquet'], differencesCount: 0 }, { strayFiles: [] }],
  });
  expect(replicaVerifiedText(verified)).toContain('0 rows differ, 2 files are in no manifest');
  expect(replicaVerifiedText(verified)).toContain('public/t/stray.parquet is in no manifest');
});

test('where every slot is in use it is said what to do', async () => {
  await job.land('CREATE TABLE t (id int PRIMARY KEY)');
  await job.database.sql(`SELECT pg_create_physical_replication_slot('verify_' || i) FROM generate_series(1,
    current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots)::int) i`);
  try {
    await expect(job.verify()).rejects.toMatchObject({
      message: expect.stringContaining('all replication slots are in use'),
      hint: expect.stringContaining('raise max_replication_slots'),
    });
  } finally {
    await job.database.sql(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'verify\\_%'`,
    );
  }
  await job.expectSame();
});

test('values, names and keys that were changed between epochs are the same', async () => {
  await job.land(`CREATE TABLE scaled (id numeric(6,1) PRIMARY KEY, a numeric(10,2), b numeric(10,4), c numeric, d numeric(8,2));
    INSERT INTO scaled VALUES (1, 1.5, 1.5, 1.500, 7), (2, 'NaN', 2, 'NaN', NULL), (3, -0.05, 10, 100, 3.10);
    CREATE TABLE renamed (id int, v text, at date, w int, PRIMARY KEY (id, at)); INSERT INTO renamed VALUES (1, 'a', 'infinity', 1), (2, 'b', '2026-01-01', 2);
    CREATE TABLE keyed (id int NOT NULL, v int); ALTER TABLE keyed REPLICA IDENTITY FULL; INSERT INTO keyed VALUES (1, 1), (2, 2);
    CREATE TABLE moved (id int PRIMARY KEY, other int NOT NULL, v int); INSERT INTO moved VALUES (1, 10, 0), (2, 20, 0);
    CREATE TABLE indexed (id int, u int NOT NULL UNIQUE, v int); ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_u_key; INSERT INTO indexed VALUES (1, 1, 1), (1, 2, 1)`);
  await job.land(`ALTER TABLE scaled ALTER a TYPE numeric(12,4), ALTER c TYPE numeric(9,1), ALTER d TYPE numeric; INSERT INTO scaled VALUES (4, 1.5, 1, 1, 1);
    ALTER TABLE renamed RENAME id TO pk; ALTER TABLE renamed RENAME v TO value; INSERT INTO renamed VALUES (3, 'c', 'infinity', 3); DELETE FROM renamed WHERE pk = 1;
    INSERT INTO keyed VALUES (1, 1), (2, 3); DELETE FROM keyed WHERE ctid IN (SELECT min(ctid) FROM keyed WHERE id = 1); DELETE FROM keyed WHERE v = 2;
    UPDATE moved SET v = 1 WHERE id = 1; DELETE FROM indexed WHERE u = 1; UPDATE indexed SET v = 2 WHERE u = 2`);
  await job.land(`ALTER TABLE scaled ALTER id TYPE numeric(8,3), ALTER b TYPE numeric(10,5); UPDATE scaled SET d = 1.25 WHERE id = 1; DELETE FROM scaled WHERE id = 4;
    ALTER TABLE keyed ADD PRIMARY KEY (id); ALTER TABLE keyed REPLICA IDENTITY DEFAULT; UPDATE keyed SET v = 9 WHERE id = 1;
    ALTER TABLE moved DROP CONSTRAINT moved_pkey, ADD PRIMARY KEY (other); UPDATE moved SET v = 2 WHERE id = 2; UPDATE moved SET other = 21 WHERE id = 2;
    ALTER TABLE moved DROP COLUMN id; INSERT INTO moved VALUES (30, 0)`);
  await job.database.sql('ALTER TABLE renamed RENAME pk TO number; ALTER TABLE scaled RENAME id TO key');
  expect(await differences()).toEqual({});
  await job.database.sql(
    `ALTER PUBLICATION longshore_${job.name} DROP TABLE scaled; UPDATE scaled SET a = 1.5001 WHERE key = 1; ALTER PUBLICATION longshore_${job.name} ADD TABLE scaled`,
  );
  expect(await differences()).toEqual({ scaled: [{ key: '["1"]', what: 'different' }] });
});

test('history that contradicts itself is told, and other history is not', async () => {
  await job.land('CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)');
  await job.land('INSERT INTO t VALUES (5, 0), (6, 0)');
  await job.land(`UPDATE t SET v = 1; UPDATE t SET id = -id WHERE id > 4; DELETE FROM t WHERE id = 3;
    BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, 2), (7, 0), (8, 0); UPDATE t SET id = 9 WHERE id = 7; INSERT INTO t VALUES (7, 1); COMMIT`);
  await job.land(
    `ALTER TABLE t ADD COLUMN w int DEFAULT 3; INSERT INTO t VALUES (10, 0); UPDATE t SET w = 3, v = 5 WHERE id IN (1, 7, 8, 9)`,
  );
  await job.land(
    'ALTER TABLE t ALTER id TYPE bigint; UPDATE t SET v = 6 WHERE id = 1; DELETE FROM t WHERE id = 8; INSERT INTO t VALUES (8, 8)',
  );
  expect(await differences()).toEqual({});
  const inserted = job.lake.manifests()[1]!.files[0]!;
  edit(1, ({ files }) => files.push(inserted));
  expect(await differences()).toEqual({
    t: ['["5"]', '["6"]'].map((key) => ({ key, what: 'inserted twice' })),
  });
  edit(1, ({ files }) => files.splice(0));
  expect(await differences()).toEqual({
    t: ['["5"]', '["6"]'].map((key) => ({ key, what: 'changed though absent' })),
  });
});

test('ranges of keys that were loaded one after another are no contradiction', async () => {
  await job.database.sql(`CREATE TABLE t (id int PRIMARY KEY, v text);
    INSERT INTO t SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, 30000) i`);
  const small = { maxFileSize: 256 * 1024, workers: 1, keepSnapshot: 0 };
  const dieAt = (last: number) => {
    let chunks = 0;
    return (name: string) => {
      if (name === 'chunk-noted' && ++chunks === last) throw new Error('died');
    };
  };
  // Of pages; then, under another snapshot, of keys.
  await expect(job.run(small, { failpoint: dieAt(1) })).rejects.toThrow('died');
  await expect(job.run(small, { failpoint: dieAt(3) })).rejects.toThrow('died');
  await job.database.sql(`UPDATE t SET id = CASE WHEN id < 100 THEN 40000 - id ELSE -id END WHERE id IN (1, 39, 29998); UPDATE t SET id = 50000 + id WHERE id % 1000 = 0;
    DELETE FROM t WHERE id % 777 = 0; INSERT INTO t VALUES (1, 'again'), (29998, 'again'), (777, 'again'), (29526, 'again'); UPDATE t SET v = 'x' WHERE id % 100 = 0`);
  await job.run(small);
  expect(job.lake.manifests()[0]!.tables[0]!.keys?.ranges.length).toBeGreaterThan(1);
  await job.database.sql(`UPDATE t SET v = 'y' WHERE id % 50 = 0`);
  expect(await differences()).toEqual({});
});

test('changes alone are no contradiction', async () => {
  await job.land('CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0)', {
    mode: 'cdc',
  });
  await job.land('UPDATE t SET v = 1 WHERE id = 1; DELETE FROM t WHERE id = 2', { mode: 'cdc' });
  expect(await differences({ mode: 'cdc' })).toEqual({});
});

test('a layout that verification is not told of stays what it is', async () => {
  const layout = { timestampColumn: 'at', datePartition: true, opInFullLoad: true };
  await job.land('CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)', layout);
  await job.land('INSERT INTO t VALUES (2, 0)', layout);
  await job.database.sql('UPDATE t SET v = 1');
  expect(await differences()).toEqual({});
  await job.database.sql('UPDATE t SET v = 2');
  expect(await differences({ timestampColumn: 'v' })).toEqual({});
  const landed = job.lake.manifests().slice(1);
  expect(landed.length).toBeGreaterThan(2);
  for (const { files, schemas } of landed) {
    for (const { key, schemaId } of files) {
      expect(key).toMatch(/^public\/t\/\d{4}\/\d\d\/\d\d\//);
      expect(schemas[schemaId]!.map(({ name }) => name)).toContain('at');
    }
  }
  // Its own, not of the job.
  await job.database.sql('ALTER TABLE t ADD COLUMN at text');
  expect(await differences()).toEqual({});
});
