/**
 * A replication that is killed at every step of landing an epoch, and at random moments, while a program writes: the
 * files that a reader lists hold every committed change once, in order, and the tables as they are.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dropReplicationOf } from '../../src/jobs/replicate/run.ts';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { Lake } from '../worlds/lake.ts';
import { seededRandom } from './traffic.ts';
import { runProgram } from './world.ts';

const POINTS = [
  'files-complete:1',
  'pending-written:1',
  'file-uploaded:1',
  'file-uploaded:2',
  'manifest-written:1',
  'confirmed:1',
];
const RANDOM_KILLS = Number(process.env['LONGSHORE_RANDOM_KILLS'] ?? 10);
const SEED = Number(process.env['LONGSHORE_SEED'] ?? 42);

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

let jobs = 0;

async function setUp() {
  const stack = new AsyncDisposableStack();
  const database = await server.createDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'longshore-lake-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  await database.sql(`
    CREATE TABLE items (id bigserial PRIMARY KEY, v text NOT NULL, n numeric(12, 2), doc jsonb);
    CREATE TABLE log (id bigint PRIMARY KEY, what text);
    INSERT INTO items (v, n, doc) SELECT 'loaded ' || i, i / 3.0, jsonb_build_object('i', i) FROM generate_series(1, 2000) i`);
  await database.sql(`ALTER DATABASE ${database.name} SET logical_decoding_work_mem = '64kB'`);
  const name = `kill_${++jobs}`;
  stack.defer(() => dropReplicationOf({ from: database.url, to: `file://${folder}/`, name }));
  const args = ['replicate', '--from', database.url, '--to', `file://${folder}/`, '--name', name, '--json'];
  const world = { env: {}, folder };
  return {
    database,
    lake: new Lake(folder, name),
    run: (env: Record<string, string> = {}, ...more: string[]) =>
      runProgram(world, [...args, '--every', '100ms', ...more], env),
    follow: (onStart: Parameters<typeof runProgram>[3]) =>
      runProgram(world, [...args, '--every', '100ms'], {}, onStart),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

type World = Awaited<ReturnType<typeof setUp>>;

/** Writes transactions of every kind; each that commits leaves one row in `log`. */
class Writer {
  readonly #client: pg.Client;
  readonly #random: () => number;
  #seq = 0;

  constructor(client: pg.Client, random: () => number) {
    this.#client = client;
    this.#random = random;
  }

  static async open(url: string, random: () => number): Promise<Writer> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return new Writer(client, random);
  }

  async write(transactions: number): Promise<void> {
    for (let i = 0; i < transactions; i++) await this.#transaction();
  }

  async #transaction(): Promise<void> {
    const client = this.#client;
    const pick = () => 1 + Math.floor(this.#random() * 2500);
    const kind = this.#random();
    await client.query('BEGIN');
    await client.query('INSERT INTO log VALUES ($1, $2)', [++this.#seq, `transaction ${this.#seq}`]);
    if (kind < 0.3)
      await client.query(
        "INSERT INTO items (v, n) SELECT 'inserted', random() * 1000 FROM generate_series(1, 3)",
      );
    else if (kind < 0.6)
      await client.query("UPDATE items SET v = 'updated ' || $1, n = NULL WHERE id BETWEEN $2 AND $2 + 5", [
        this.#seq,
        pick(),
      ]);
    else if (kind < 0.75) await client.query('DELETE FROM items WHERE id = $1', [pick()]);
    else if (kind < 0.85) await client.query('UPDATE items SET id = -id WHERE id = $1', [pick()]);
    else if (kind < 0.86)
      await client.query(
        "INSERT INTO items (v, doc) SELECT repeat('x', 200), '{}' FROM generate_series(1, 800)",
      );
    else {
      await client.query('SAVEPOINT a');
      await client.query("INSERT INTO items (v) VALUES ('rolled back')");
      await client.query('ROLLBACK TO a');
      await client.query('UPDATE items SET n = 1 WHERE id = $1', [pick()]);
    }
    if (this.#random() < 0.1) {
      await client.query('ROLLBACK');
      this.#seq--;
    } else await client.query('COMMIT');
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}

async function expectWhole({ database, lake }: World): Promise<void> {
  // What a reader lists is what the manifests name, each file once.
  const named = lake.manifests().flatMap(({ files }) => files.map(({ key }) => key));
  expect(new Set(named).size).toBe(named.length);
  expect(lake.listed()).toEqual(named.toSorted());
  // Epochs follow one another without a gap.
  const epochs = lake.manifests();
  for (const [i, { epoch, fromLsn }] of epochs.entries()) {
    expect(epoch).toBe(i);
    if (i > 0) expect(fromLsn).toBe(epochs[i - 1]!.toLsn);
  }
  // Every transaction came once, in the order of commits.
  const log = await database.sql('SELECT id::int FROM log ORDER BY id');
  const loaded = epochs[0]!.files
    .filter(({ table }) => table === 'log')
    .flatMap(({ key }) => lake.rowsOf(key));
  const ids = [
    ...loaded.map((row) => Number(row['id'])).sort((a, b) => a - b),
    ...lake.changesOf('log').map((row) => Number(row['id'])),
  ];
  expect(ids).toEqual(log.map(({ id }) => id));
  // And the tables come out as they are.
  const rows = await database.sql('SELECT id::int, v, doc::text FROM items ORDER BY id');
  const replica = [...lake.current('items').values()].map(({ id, v, doc }) => ({ id, v, doc }));
  expect(replica.sort((a, b) => Number(a.id) - Number(b.id))).toEqual(rows);
}

test.each(
  POINTS.flatMap(
    (point) =>
      [
        [point, 'and more is written', 20],
        [point, 'and nothing more is written', 0],
      ] as const,
  ),
)('killed at %s, %s', async (point, _, more) => {
  await using world = await setUp();
  const writer = await Writer.open(world.database.url, seededRandom(SEED));
  expect((await world.run({}, '--until-caught-up')).code).toBe(0);
  await writer.write(40);
  const killed = await world.run({ LONGSHORE_KILL_AT: point }, '--until-caught-up');
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  await writer.write(more);
  await writer.close();
  const last = await world.run({}, '--until-caught-up');
  expect(last.code, last.stderr).toBe(0);
  await expectWhole(world);
});

test.each(['chunk-uploaded:1', 'chunk-uploaded:2'])('killed at %s, in the full load', async (point) => {
  await using world = await setUp();
  const writer = await Writer.open(world.database.url, seededRandom(SEED));
  await writer.write(5);
  const killed = await world.run({ LONGSHORE_KILL_AT: point }, '--until-caught-up');
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  await writer.write(20);
  const again = await world.run({}, '--until-caught-up');
  expect(again.code, again.stderr).toBe(0);
  await writer.write(5);
  await writer.close();
  expect((await world.run({}, '--until-caught-up')).code).toBe(0);
  await expectWhole(world);
});

test(`killed at ${RANDOM_KILLS} random moments while a program writes`, async () => {
  await using world = await setUp();
  const random = seededRandom(SEED);
  const writer = await Writer.open(world.database.url, random);
  let stop = false;
  const writing = (async () => {
    while (!stop) await writer.write(1);
  })();
  expect((await world.run({}, '--until-caught-up')).code).toBe(0);
  let kills = 0;
  for (let i = 0; i < RANDOM_KILLS; i++) {
    const afterMs = 300 + Math.floor(random() * 1200);
    const result = await world.follow((kill) => setTimeout(() => kill('SIGKILL'), afterMs));
    // The server may not have noticed yet that the one before is gone.
    if (result.signal === 'SIGKILL') kills++;
    else expect(result.stderr).toContain('another process');
  }
  expect(kills).toBeGreaterThan(RANDOM_KILLS / 2);
  stop = true;
  await writing;
  await writer.close();
  const last = await world.run({}, '--until-caught-up');
  expect(last.code, last.stderr).toBe(0);
  await expectWhole(world);
});

test('killed while it landed, and a table came meanwhile: the epoch is landed as it was begun', async () => {
  await using world = await setUp();
  const writer = await Writer.open(world.database.url, seededRandom(SEED));
  expect((await world.run({}, '--until-caught-up')).code).toBe(0);
  await writer.write(40);
  const killed = await world.run({ LONGSHORE_KILL_AT: 'file-uploaded:1' }, '--until-caught-up');
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  await writer.write(20);
  await world.database.sql('CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)');
  const last = await world.run({}, '--until-caught-up');
  await writer.close();
  expect(last.code, last.stderr).toBe(0);
  expect(world.lake.current('late').size).toBe(1);
  await expectWhole(world);
});
