/** What says which row a change is of, where the stream sends whole rows: the primary key, if it held for the change. */

import { expect, test } from 'vitest';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import type { ReplicateEvent } from './events.ts';

const job = lakeJob('identity');

/** Of the files of changes, in their order. */
const identities = (name: string) =>
  job.lake
    .manifests()
    .flatMap(({ kind, files }) =>
      kind === 'changes' ? files.filter(({ table }) => table === name).map(({ identity }) => identity) : [],
    );
const ops = (name: string) => job.lake.changesOf(name).map((change) => change['Op']);

test('a key that was there all the time, that was added, moved or dropped before the changes were landed', async () => {
  const tables = ['kept', 'added', 'moved', 'dropped', 'late'];
  const full = tables.map(
    (name) => `ALTER TABLE ${name} REPLICA IDENTITY FULL; INSERT INTO ${name} VALUES (1, 1), (2, 2);`,
  );
  await job.land(`CREATE TABLE kept (id int PRIMARY KEY, v int); CREATE TABLE added (id int NOT NULL, v int);
    CREATE TABLE moved (id int PRIMARY KEY, v int NOT NULL); CREATE TABLE dropped (id int PRIMARY KEY, v int);
    CREATE TABLE late (id int PRIMARY KEY DEFERRABLE, v int); ${full.join('')}`);
  await job.land(`UPDATE kept SET v = 3; UPDATE kept SET id = 3 WHERE id = 2;
    INSERT INTO added VALUES (1, 1), (2, 5); UPDATE added SET v = 4 WHERE id = 1; DELETE FROM added WHERE ctid = (SELECT min(ctid) FROM added WHERE id = 1);
    DELETE FROM added WHERE v = 5; ALTER TABLE added ADD PRIMARY KEY (id);
    INSERT INTO moved VALUES (3, 2); DELETE FROM moved WHERE id = 3; ALTER TABLE moved DROP CONSTRAINT moved_pkey, ADD PRIMARY KEY (v);
    INSERT INTO moved VALUES (1, 3); UPDATE moved SET v = 4 WHERE v = 3; UPDATE dropped SET v = 3 WHERE id = 1;
    UPDATE late SET id = id + 1`);
  expect(identities('kept')).toEqual([['id']]);
  expect(ops('kept')).toEqual(['U', 'U', 'D', 'I']);
  for (const name of ['added', 'moved', 'late']) expect(identities(name)).toEqual([undefined]);
  expect(ops('late')).toEqual(['D', 'I', 'D', 'I']);
  await job.land(
    'ALTER TABLE dropped DROP CONSTRAINT dropped_pkey; INSERT INTO dropped VALUES (1, 3), (1, 3)',
  );
  await job.land('UPDATE dropped SET v = 4 WHERE ctid = (SELECT min(ctid) FROM dropped WHERE id = 1)');
  expect(identities('dropped')).toEqual([['id'], undefined, undefined]);
  await job.expectSame();
});

test('a key that goes and comes while the job runs', async () => {
  await job.land(
    `CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 1), (2, 2)`,
  );
  const stop = new AbortController();
  let told = Promise.withResolvers<void>();
  const emit = (event: ReplicateEvent) => {
    if (event.type === 'epoch-landed' && event.files > 0) told.resolve();
  };
  const running = job.run({ untilCaughtUp: false }, { signal: stop.signal, emit });
  running.catch((error: unknown) => told.reject(error));
  const landed = async (statements: string) => {
    told = Promise.withResolvers();
    await job.database.sql(statements);
    await told.promise;
    return identities('t').at(-1);
  };
  expect(await landed('UPDATE t SET v = 3 WHERE id = 1')).toEqual(['id']);
  expect(
    await landed('ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (v); INSERT INTO t VALUES (1, 4)'),
  ).toBeUndefined();
  // Servers write now and then by themselves what the slot goes on by.
  expect([undefined, ['v']]).toContainEqual(await landed('UPDATE t SET v = 5 WHERE v = 4'));
  // The slot goes past the new key with what checkpoints write to the log.
  let identity: readonly string[] | undefined;
  for (let v = 10; identity === undefined; v++)
    identity = await landed(`CHECKPOINT; INSERT INTO t VALUES (${v}, ${v})`);
  expect(identity).toEqual(['v']);
  await landed('UPDATE t SET id = 7 WHERE v = 5');
  expect(ops('t').at(-1)).toBe('U');
  stop.abort(new Error('stopped'));
  await expect(running).rejects.toThrow('stopped');
  await job.expectSame();
});

test('a key with a generated column, which changes leave out, is refused; with the whole old row it is no key', async () => {
  await job.database.sql(`CREATE TABLE t (a int, v int, g int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (v, g));
    CREATE TABLE u (id int PRIMARY KEY, a int, g int NOT NULL GENERATED ALWAYS AS (a * 2) STORED);
    CREATE UNIQUE INDEX u_g ON u (g); ALTER TABLE u REPLICA IDENTITY USING INDEX u_g;
    INSERT INTO t SELECT i, i FROM generate_series(1, 5) i; INSERT INTO u SELECT i, i FROM generate_series(1, 5) i`);
  for (const to of [`file://${job.folder}/`, `duckdb://${job.folder}/t.duckdb`, job.database.url])
    for (const name of ['t', 'u'])
      await expect(job.run({ to, tables: [`public.${name}`] })).rejects.toMatchObject({
        code: 'CHECK_FAILED',
        message: expect.stringContaining(`the key of public.${name} has the generated column g`),
        hint: expect.stringContaining(`ALTER TABLE "public"."${name}" REPLICA IDENTITY FULL`),
      });
  expect(await job.onServer()).toEqual([]);
  await job.land('ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE u REPLICA IDENTITY FULL');
  for (let round = 0; round < 2; round++) {
    await job.land(`UPDATE t SET v = v + 100 WHERE a = 1; DELETE FROM t WHERE a = 2; UPDATE t SET a = 100 WHERE a = 3;
      INSERT INTO t VALUES (2, 20); UPDATE t SET v = 1, a = 7 WHERE a = 2;
      UPDATE u SET id = -id WHERE a = 1; DELETE FROM u WHERE a = 2; INSERT INTO u VALUES (2, 2)`);
    expect(identities('t').at(-1)).toBeUndefined();
    expect(identities('u').at(-1)).toEqual(['id']);
    await job.database.sql('DELETE FROM t WHERE a = 7');
  }
  await job.expectSame();
});
