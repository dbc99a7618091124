/**
 * A replication into PostgreSQL that is killed at every step of loading and of landing, and at random moments, while a
 * program writes: the target holds every committed change once.
 */

import { tmpdir } from 'node:os';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { TwoDatabases } from '../worlds/two-databases.ts';
import { seededRandom } from './traffic.ts';
import { type ProgramResult, runProgram } from './world.ts';

const LOAD_POINTS = [
  'snapshot-taken:1',
  'tables-made:1',
  'chunk-copied:2',
  'chunk-noted:2',
  'later-made:2',
  'load-landed:1',
];
const LAND_POINTS = ['changes-applied:1', 'landed:1', 'confirmed:1'];
const RANDOM_KILLS = Number(process.env['LONGSHORE_RANDOM_KILLS'] ?? 6);
const SEED = Number(process.env['LONGSHORE_SEED'] ?? 42);

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const TABLES = `
  CREATE TABLE items (id bigserial PRIMARY KEY, v text NOT NULL, n numeric(12, 2), u int UNIQUE);
  CREATE TABLE log (id bigint PRIMARY KEY, what text);
  CREATE TABLE parts (id bigserial PRIMARY KEY, item bigint REFERENCES items ON DELETE CASCADE ON UPDATE CASCADE);
  CREATE TABLE notes (v text, n int); ALTER TABLE notes REPLICA IDENTITY FULL;
  INSERT INTO items (v, n, u) SELECT 'loaded ' || i, i / 3.0, i FROM generate_series(1, 1000) i;
  INSERT INTO parts (item) SELECT 1 + i % 1000 FROM generate_series(1, 1000) i`;

/** Writes until it is stopped; each transaction that commits leaves one row in `log`. */
class Writer implements AsyncDisposable {
  #stopped = false;
  readonly #done: Promise<void>;

  /** @param truncates who truncates waits for whoever reads, and others wait behind him */
  constructor(url: string, truncates = true) {
    this.#done = this.#write(url, truncates, seededRandom(SEED));
  }

  async #write(url: string, truncates: boolean, random: () => number): Promise<void> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const pick = () => 1 + Math.floor(random() * 1200);
    for (let seq = 1; !this.#stopped; seq++) {
      const kind = random();
      await client.query('BEGIN');
      await client.query('INSERT INTO log VALUES ($1, $2)', [seq, `transaction ${seq}`]);
      if (kind < 0.3) {
        await client.query(`WITH i AS (INSERT INTO items (v, n) SELECT 'inserted', random() * 1000 FROM generate_series(1, 3) RETURNING id)
          INSERT INTO parts (item) SELECT id FROM i`);
        await client.query('INSERT INTO notes VALUES ($1, $2)', [`note ${seq}`, seq % 5]);
      } else if (kind < 0.6)
        await client.query(`UPDATE items SET v = 'updated ' || $1, n = NULL WHERE id BETWEEN $2 AND $2 + 5`, [
          seq,
          pick(),
        ]);
      else if (kind < 0.7) await client.query('DELETE FROM items WHERE id = $1', [pick()]);
      else if (kind < 0.8) await client.query('UPDATE items SET id = -id WHERE id = $1', [pick()]);
      else if (kind < 0.85) {
        // Two that take one value from one another.
        const id = pick();
        await client.query('UPDATE items SET u = NULL WHERE u = $1', [id]);
        await client.query('UPDATE items SET u = $1 WHERE id = $2', [id, pick()]);
      } else if (kind < 0.9)
        await client.query('DELETE FROM notes WHERE ctid = (SELECT ctid FROM notes WHERE n = $1 LIMIT 1)', [
          seq % 5,
        ]);
      else if (kind < 0.91 && truncates) await client.query('TRUNCATE notes');
      else await client.query('UPDATE parts SET item = NULL WHERE id = $1', [pick()]);
      await client.query(random() < 0.1 ? 'ROLLBACK' : 'COMMIT');
    }
    await client.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }
}

function runner(pair: TwoDatabases) {
  const { from, to } = pair.options();
  const args = ['replicate', '--from', from, '--to', to, '--name', pair.name, '--json', '--every', '100ms'];
  const world = { env: {}, folder: tmpdir() };
  return {
    run: (env: Record<string, string> = {}, ...more: string[]): Promise<ProgramResult> =>
      runProgram(world, [...args, ...more], env),
    follow: (onStart: Parameters<typeof runProgram>[3]) => runProgram(world, args, {}, onStart),
    verify: () =>
      runProgram(world, ['replicate', 'verify', '--from', from, '--to', to, '--name', pair.name, '--json']),
  };
}

/** By hand, and as the program itself says. */
async function expectSame(pair: TwoDatabases): Promise<void> {
  for (const table of ['items', 'log', 'parts', 'notes']) {
    const [source, target] = await pair.rows(table);
    expect(target, table).toEqual(source);
  }
  for (const sequence of ['items_id_seq', 'parts_id_seq']) {
    const [source, target] = await pair.rows(sequence, 'last_value, is_called');
    expect(target, sequence).toEqual(source);
  }
  const verified = await runner(pair).verify();
  expect(verified.code, verified.stdout + verified.stderr).toBe(0);
}

test('killed at every step of a load and of a landing, while a program writes', async () => {
  await using pair = await TwoDatabases.create(server);
  await pair.source.sql(TABLES);
  const { run } = runner(pair);
  await using writer = new Writer(pair.source.url);
  for (const point of [...LOAD_POINTS, ...LAND_POINTS]) {
    const killed = await run({ LONGSHORE_KILL_AT: point }, '--until-caught-up');
    expect(killed.signal, `${point} ${killed.stderr}`).toBe('SIGKILL');
  }
  await writer[Symbol.asyncDispose]();
  const last = await run({}, '--until-caught-up');
  expect(last.code, last.stderr).toBe(0);
  await expectSame(pair);
});

test('a large load that is killed goes on under its snapshot, without the chunks that are there', async () => {
  await using pair = await TwoDatabases.create(server);
  await pair.source.sql(`${TABLES}; CREATE TABLE large (id int PRIMARY KEY, v text); ALTER TABLE large ALTER v SET STORAGE PLAIN;
    INSERT INTO large SELECT i, repeat('x', 1900) FROM generate_series(1, 40000) i`);
  const { run } = runner(pair);
  await using writer = new Writer(pair.source.url, false);
  const killed = await run({ LONGSHORE_KILL_AT: 'chunk-noted:4' }, '--until-caught-up');
  expect(killed.signal, killed.stderr).toBe('SIGKILL');
  await pair.source.sql('UPDATE large SET v = NULL WHERE id % 100 = 0');
  const again = await run({}, '--until-caught-up');
  expect(again.code, again.stderr).toBe(0);
  const kept = /"chunks":(\d+),"chunksKept":(\d+)/.exec(again.stderr)!;
  expect(Number(kept[2]), killed.stderr).toBeGreaterThanOrEqual(4);
  expect(Number(kept[1])).toBeGreaterThan(0);
  await writer[Symbol.asyncDispose]();
  expect((await run({}, '--until-caught-up')).code).toBe(0);
  await expectSame(pair);
  const [source, target] = await pair.rows('large', 'id, v IS NULL');
  expect(target).toEqual(source);
});

test(`killed at ${RANDOM_KILLS} random moments while a program writes`, async () => {
  await using pair = await TwoDatabases.create(server);
  await pair.source.sql(TABLES);
  const { run, follow } = runner(pair);
  const random = seededRandom(SEED);
  await using writer = new Writer(pair.source.url);
  let kills = 0;
  for (let i = 0; i < RANDOM_KILLS; i++) {
    const afterMs = 300 + Math.floor(random() * 1000);
    const result = await follow((kill) => setTimeout(() => kill('SIGKILL'), afterMs));
    // The server may not have noticed yet that the one before is gone.
    if (result.signal === 'SIGKILL') kills++;
    else expect(result.stderr).toContain('another process');
  }
  expect(kills).toBeGreaterThan(RANDOM_KILLS / 2);
  const stopped = await follow((kill, onOutput) => onOutput('epoch-landed', () => kill('SIGTERM')));
  expect(stopped.code, stopped.stderr).toBe(130);
  await writer[Symbol.asyncDispose]();
  expect((await run({}, '--until-caught-up')).code).toBe(0);
  await expectSame(pair);
});
