/** What is killed, cut off or fails in passing ends as if it had not been; and undo knows all of it. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type PostgresServer,
  type PostgresTestDatabase,
  postgresServer,
} from '../../../test/servers/postgres.ts';
import { FROM, keysOf, type MoveWorld, moveWorld, put, TO } from '../../../test/worlds/move-world.ts';
import { LongshoreError } from '../../errors.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import { move } from './run.ts';
import type { MoveOptions } from './settings.ts';
import { undoMove } from './undo.ts';
import { verifyMove } from './verify.ts';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await postgresServer();
});
afterAll(() => postgres[Symbol.asyncDispose]());

const OBJECTS = 2500;

/** Objects and rows, of a table of the given form. */
async function fill(world: MoveWorld, table: string, objects: number): Promise<PostgresTestDatabase> {
  const database = await postgres.createDatabase();
  await database.sql(table);
  await mapConcurrent(
    Array.from({ length: objects }, (_, i) => i),
    20,
    (i) => put(world.legacy, `image/${i}`),
  );
  await database.sql(`INSERT INTO t (path) SELECT 'image/' || i FROM generate_series(0, ${objects - 1}) i`);
  return database;
}

const rowsOf = (database: PostgresTestDatabase): string => `${database.url}#t.path`;

const optionsOf = (database: PostgresTestDatabase, more: Partial<MoveOptions> = {}): MoveOptions => ({
  from: FROM,
  to: TO,
  rows: rowsOf(database),
  delete: 'proven',
  ...more,
});

/** Throws at the n-th time that a point is passed. */
function failing(at: string, times: number, error: Error): (point: string) => void {
  let passed = 0;
  return (point) => {
    if (point === at && ++passed === times) throw error;
  };
}

const moved = async (database: PostgresTestDatabase): Promise<number> =>
  Number((await database.sql("SELECT count(*) AS n FROM t WHERE path LIKE 'avatar/%'"))[0]!['n']);

async function expectWhole(world: MoveWorld, database: PostgresTestDatabase, objects: number): Promise<void> {
  expect(await moved(database)).toBe(objects);
  expect(await keysOf(world.legacy)).toEqual([]);
  expect(await keysOf(world.production)).toHaveLength(objects);
  const verified = await verifyMove(optionsOf(database), world.environment);
  expect(verified).toMatchObject({ violationsCount: 0, deletionsChecked: objects });
}

async function expectUndone(
  world: MoveWorld,
  database: PostgresTestDatabase,
  objects: number,
): Promise<void> {
  const rows = [rowsOf(database)];
  const undone = await undoMove({ ...world.environment, rows, delete: 'proven' });
  expect(undone.failed).toEqual([]);
  expect(undone.failures).toBe(0);
  expect(await moved(database)).toBe(0);
  expect(await keysOf(world.legacy)).toHaveLength(objects);
  expect(await keysOf(world.production)).toEqual([]);
}

const TABLES = [
  ['with a key', 'CREATE TABLE t (id bigserial PRIMARY KEY, path text)'],
  ['without a key', 'CREATE TABLE t (id bigserial, path text)'],
  ['whose key is the path', 'CREATE TABLE t (path text PRIMARY KEY)'],
  ['with an index', 'CREATE TABLE t (id bigserial PRIMARY KEY, path text); CREATE INDEX ON t (path)'],
] as const;

describe.each(TABLES)('a table %s', (_, table) => {
  test('a shard that is tried again forgets nothing it did', async () => {
    await using world = await moveWorld();
    const database = await fill(world, table, OBJECTS);
    const failpoint = failing('before-copy', 3, new LongshoreError('STORE_UNAVAILABLE', 'for a moment'));
    const summary = await move(optionsOf(database), { ...world.environment, failpoint });
    expect(summary).toMatchObject({ failures: 0, total: { rows: { rewritten: OBJECTS } } });
    expect(summary.total.objects.copied).toBe(OBJECTS);
    expect(summary.total.deletes.deleted).toBe(OBJECTS);
    await expectWhole(world, database, OBJECTS);
    await expectUndone(world, database, OBJECTS);
  });

  test.each([
    'before-copy',
    'after-copy',
    'after-proof',
    'objects-recorded',
    'before-commit',
    'after-commit',
  ])('killed at %s and run again, then undone', async (point) => {
    await using world = await moveWorld();
    const database = await fill(world, table, 1500);
    const failpoint = failing(point, 2, new Error('killed'));
    const killed = move(optionsOf(database), { ...world.environment, failpoint });
    await expect(killed).rejects.toThrow('killed');
    expect(await move(optionsOf(database), world.environment)).toMatchObject({ failures: 0 });
    await expectWhole(world, database, 1500);
    await expectUndone(world, database, 1500);
  });

  test.each(['after-copy', 'objects-recorded', 'before-commit', 'after-commit'])(
    'killed at %s and undone at once',
    async (point) => {
      await using world = await moveWorld();
      const database = await fill(world, table, 1500);
      const failpoint = failing(point, 2, new Error('killed'));
      const killed = move(optionsOf(database, { delete: 'never' }), { ...world.environment, failpoint });
      await expect(killed).rejects.toThrow('killed');
      await expectUndone(world, database, 1500);
    },
  );
});

test('connections that are cut in the middle of a sweep', async () => {
  await using world = await moveWorld();
  const database = await fill(world, TABLES[0][1], OBJECTS);
  let batches = 0;
  let cut: Promise<unknown> | undefined;
  const failpoint = (point: string): void => {
    if (point !== 'after-commit' || ++batches !== 2) return;
    cut = database.sql(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
  };
  expect(await move(optionsOf(database), { ...world.environment, failpoint })).toMatchObject({ failures: 0 });
  await cut;
  await expectWhole(world, database, OBJECTS);
  await expectUndone(world, database, OBJECTS);
});

test('an undo that failed for one object is finished by the next', async () => {
  await using world = await moveWorld();
  const database = await fill(world, TABLES[0][1], 50);
  await move(optionsOf(database), world.environment);
  for (const operation of ['CopyObject', 'PutObject']) {
    world.s3.faults.add({ match: { operation, key: 'image/7' }, fault: { kind: 'denied' } });
  }
  const rows = [rowsOf(database)];
  const first = await undoMove({ ...world.environment, rows, delete: 'proven' }).catch(
    (error: unknown) => error,
  );
  expect(first).toMatchObject({ failures: expect.any(Number) });
  expect((first as { failures: number }).failures).toBeGreaterThan(0);
  world.s3.faults.clear();
  await expectUndone(world, database, 50);
});

test('undo puts back no column but its own, and all of them', async () => {
  await using world = await moveWorld();
  const database = await fill(world, TABLES[0][1], 5);
  await database.sql(`CREATE TABLE posts (id bigserial PRIMARY KEY, path text);
    INSERT INTO posts (path) SELECT path FROM t`);
  const rows = [`${database.url}#t.path`, `${database.url}#posts.path`];
  await move({ ...optionsOf(database), rows }, world.environment);
  await expect(undoMove({ ...world.environment, rows: [`${database.url}#t.id`] })).rejects.toThrow(
    'the run did not rewrite',
  );
  const env = { ...world.environment.env, PGPASSWORD: new URL(database.url).password };
  const undone = await undoMove({ ...world.environment, env, rows: rows.slice(0, 1), delete: 'proven' });
  expect(undone.failures).toBe(0);
  expect(await database.sql("SELECT count(*)::int AS n FROM posts WHERE path LIKE 'image/%'")).toEqual([
    { n: 5 },
  ]);
});

test('a run does not go on, and is not undone, on another server', async () => {
  await using world = await moveWorld();
  await using other = await moveWorld();
  for (const { legacy } of [world, other]) await put(legacy, 'image/1');
  const options = { from: FROM, to: TO, delete: 'proven' } as const;
  const failpoint = failing('after-schedule', 1, new Error('killed'));
  await expect(move(options, { ...world.environment, failpoint })).rejects.toThrow('killed');
  const there = { ...other.environment, stateFolder: world.stateFolder };
  await move(options, there);
  expect(await keysOf(other.production)).toEqual(['avatar/1']);
  await move(options, world.environment);
  expect(await keysOf(world.production)).toEqual(['avatar/1']);
  const run = world.events.find((event) => event.type === 'run-started')!.run;
  await expect(undoMove({ ...there, run })).rejects.toThrow(
    expect.objectContaining({ code: 'JOURNAL_FOREIGN' }),
  );
});

test('the last copy is never deleted: what vanished from the target is copied again', async () => {
  await using world = await moveWorld();
  for (const name of ['1', '2']) await put(world.legacy, `image/${name}`);
  let waited = false;
  const clock = {
    ...world.environment.clock,
    wait: async () => {
      if (!waited) await world.production.delete([{ key: 'avatar/1' }]);
      waited = true;
    },
  };
  const summary = await move({ from: FROM, to: TO, delete: '1h' }, { ...world.environment, clock });
  expect(summary.failures).toBe(0);
  expect(await keysOf(world.production)).toEqual(['avatar/1', 'avatar/2']);
});

test('what is written to the old key before its deletion reaches the target', async () => {
  await using world = await moveWorld();
  const database = await fill(world, TABLES[0][1], 3);
  let waited = false;
  const clock = {
    ...world.environment.clock,
    wait: async () => {
      if (!waited) await put(world.legacy, 'image/1', 'written late');
      waited = true;
    },
  };
  const summary = await move(optionsOf(database, { delete: '1h' }), { ...world.environment, clock });
  expect(summary.failures).toBe(0);
  const late = await world.production.get({ key: 'avatar/1' });
  expect(Buffer.concat(await late!.body.toArray()).toString()).toBe('written late');
  expect(await keysOf(world.legacy)).toEqual([]);
});

test('a deletion that was refused is tried again by the same command', async () => {
  await using world = await moveWorld();
  const database = await fill(world, TABLES[0][1], 20);
  world.s3.faults.add({
    match: { operation: 'DeleteObjects' },
    fault: { kind: 'denied' },
  });
  await move(optionsOf(database), world.environment).catch(() => undefined);
  expect(await keysOf(world.legacy)).toHaveLength(20);
  world.s3.faults.clear();
  expect(await move(optionsOf(database), world.environment)).toMatchObject({ failures: 0 });
  await expectWhole(world, database, 20);
});

describe('where rows drive', () => {
  test('a target that holds other content stops the move before anything is written', async () => {
    await using world = await moveWorld();
    const database = await fill(world, TABLES[0][1], 5);
    await put(world.production, 'avatar/3', 'of somebody else');
    await expect(move(optionsOf(database), world.environment)).rejects.toThrow(
      expect.objectContaining({ code: 'TARGET_COLLISION' }),
    );
    expect(await moved(database)).toBe(0);
    expect(await keysOf(world.production)).toEqual(['avatar/3']);
  });

  test('an object that a row names is no orphan, whatever kept it', async () => {
    await using world = await moveWorld();
    const database = await fill(world, TABLES[0][1], 3);
    await put(world.production, 'avatar/1', 'of somebody else');
    await put(world.legacy, 'image/unnamed');
    const summary = await move(optionsOf(database, { collisions: 'skip' }), world.environment);
    expect(summary).toMatchObject({ failures: 1, left: { objects: { orphan: 1, collision: 1 } } });
  });

  test('two columns that name one object count it once', async () => {
    await using world = await moveWorld();
    const database = await fill(world, TABLES[0][1], 10);
    await database.sql(`CREATE TABLE posts (id bigserial PRIMARY KEY, path text);
      INSERT INTO posts (path) SELECT path FROM t`);
    const rows = [`${database.url}#t.path`, `${database.url}#posts.path`];
    const { total } = await move({ ...optionsOf(database), rows }, world.environment);
    expect(total.deletes).toMatchObject({ deleted: 10 });
    expect(total.objects.copied).toBe(10);
  });
});

test('a dangling row is not given what somebody else has at its target', async () => {
  await using world = await moveWorld();
  const database = await fill(world, TABLES[0][1], 1);
  await database.sql("INSERT INTO t (path) VALUES ('image/7'), ('avatar/7')");
  await put(world.production, 'avatar/7', 'of another row');
  const summary = await move(optionsOf(database), world.environment);
  expect(summary.left.rows.missing).toBe(1);
  expect(await database.sql("SELECT path FROM t WHERE path LIKE 'image/%'")).toEqual([{ path: 'image/7' }]);
  await move(optionsOf(database, { dangling: 'follow' }), world.environment);
  expect(await database.sql("SELECT path FROM t WHERE path LIKE 'image/%'")).toEqual([]);
});

test('a row that holds a dangling reference beside moved ones is put back', async () => {
  await using world = await moveWorld();
  const database = await postgres.createDatabase();
  await database.sql('CREATE TABLE t (id bigserial PRIMARY KEY, path jsonb)');
  await put(world.legacy, 'image/1');
  await database.sql(`INSERT INTO t (path) VALUES ('{"a": "image/1", "b": "image/gone"}')`);
  await move(optionsOf(database), world.environment);
  expect(await database.sql('SELECT path FROM t')).toEqual([{ path: { a: 'avatar/1', b: 'image/gone' } }]);
  const undone = await undoMove({ ...world.environment, rows: [rowsOf(database)], delete: 'proven' });
  expect(undone.failures).toBe(0);
  expect(await database.sql('SELECT path FROM t')).toEqual([{ path: { a: 'image/1', b: 'image/gone' } }]);
});

test('an orphan that stays where it is stands in nobody’s way', async () => {
  await using world = await moveWorld();
  const database = await fill(world, TABLES[3][1], 2);
  await put(world.legacy, 'image/old', 'old');
  await put(world.production, 'avatar/old', 'newer');
  expect(await move(optionsOf(database), world.environment)).toMatchObject({ failures: 0 });
  expect(await moved(database)).toBe(2);
});

test('a row that somebody holds locked does not hold up the others', async () => {
  await using world = await moveWorld();
  const database = await fill(world, TABLES[3][1], 8);
  await using holder = await database.session();
  await holder.sql("BEGIN; UPDATE t SET path = path WHERE path = 'image/3'");
  const failpoint = (point: string): void => {
    if (point === 'after-pass') void holder.sql('ROLLBACK');
  };
  const summary = await move(optionsOf(database), { ...world.environment, failpoint });
  expect(summary).toMatchObject({ failures: 0 });
  expect(await moved(database)).toBe(8);
});
