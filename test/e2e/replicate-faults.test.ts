/**
 * A replication whose server restarts and whose disk is full: it goes on by itself, or says what is wrong and goes on when
 * it is run again.
 */

import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import { startBucketLake } from '../worlds/bucket-lake.ts';
import type { Lake } from '../worlds/lake.ts';
import { expectWholeLake } from '../worlds/whole-lake.ts';
import { ReplicateWorld } from './replicate-world.ts';
import { type ProgramResult, programEnv, runProgram } from './world.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await postgresServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const setUp = () =>
  ReplicateWorld.create(
    server,
    'faults',
    `CREATE TABLE items (id int PRIMARY KEY, v text);
    INSERT INTO items SELECT i, md5(i::text) FROM generate_series(1, 20000) i`,
  );

async function expectWhole({ database, temporary }: ReplicateWorld, lake: Lake): Promise<void> {
  await expectWholeLake(lake, database, ['items']);
  expect(readdirSync(temporary)).toEqual([]);
}

/** Asks until it is so. */
async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await isSo()); ) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await wait(20);
  }
}

/** The last line of standard error. */
const errorOf = ({ stderr }: ProgramResult): unknown => JSON.parse(stderr.trim().split('\n').at(-1)!);

describe.skipIf(process.env['TEST_PG'] !== undefined)('PostgreSQL restarts', () => {
  /** Follows with these flags, and stops when `work` is done. */
  async function following(
    world: ReplicateWorld,
    flags: readonly string[],
    work: (seen: (event: string) => number) => Promise<void>,
  ): Promise<ProgramResult> {
    let stop!: (signal: NodeJS.Signals) => void;
    const counts: Record<string, number> = {};
    const running = world.follow(
      (kill, onOutput) => {
        stop = kill;
        for (const type of ['following', 'epoch-landed', 'notice']) {
          onOutput(`"type":"${type}"`, () => {
            counts[type] = (counts[type] ?? 0) + 1;
          });
        }
      },
      ...flags,
    );
    await Promise.race([
      work((event) => counts[event] ?? 0),
      running.then(({ stderr }) => Promise.reject(new Error(`it ended: ${stderr}`))),
    ]);
    stop('SIGTERM');
    return running;
  }

  test('while changes are gathered: the server stops at once, and the run goes on', async () => {
    await using world = await setUp();
    const { database } = world;
    const result = await following(world, ['--every', '10m'], async (seen) => {
      await until('it follows', () => seen('following') === 1);
      await database.sql("UPDATE items SET v = 'gathered' WHERE id < 1000");
      await server.restart!();
      await until('it follows again', () => seen('following') === 2);
      await database.sql("UPDATE items SET v = 'after' WHERE id < 10");
    });
    expect(result.code, result.stderr).toBe(130);
    expect(result.stderr).toMatch(/"type":"notice","text":".*goes on in/);
    const last = await world.catchUp();
    expect(last.code, last.stderr).toBe(0);
    await expectWhole(world, world.lake);
    expect(world.lake.changesOf('items')).toHaveLength(999 + 9);
  });

  test('while epochs are landed', async () => {
    await using world = await setUp();
    const { database } = world;
    let writing = true;
    let committed = 0;
    const writer = async (): Promise<void> => {
      for (let i = 1; writing; i++) {
        // What was cut off has committed, or has not: the tables tell.
        await database.sql(`UPDATE items SET v = 'change ${i}' WHERE id % 1000 = ${i % 1000}`).then(
          () => committed++,
          () => wait(20),
        );
      }
    };
    const written = writer();
    const result = await following(world, ['--every', '100ms'], async (seen) => {
      for (let restarts = 1; restarts <= 3; restarts++) {
        const landed = seen('epoch-landed');
        await until('epochs are landed', () => seen('epoch-landed') > landed + 1);
        await server.restart!();
        await until('it follows again', () => seen('following') > restarts);
      }
    });
    writing = false;
    await written;
    expect(result.code, result.stderr).toBe(130);
    expect(committed).toBeGreaterThan(10);
    const last = await world.catchUp();
    expect(last.code, last.stderr).toBe(0);
    await expectWhole(world, world.lake);
  });

  test('in the middle of a large transaction that is streamed', async () => {
    await using world = await setUp();
    const { database, temporary } = world;
    const spooled = (): boolean =>
      (readdirSync(temporary, { recursive: true }) as string[]).some((name) => name.endsWith('.spool'));
    const large = (from: number) =>
      `INSERT INTO items SELECT i, repeat('large', 20) FROM generate_series(${from}, ${from + 20_000}) i`;
    const result = await following(world, ['--every', '10m'], async (seen) => {
      await until('it follows', () => seen('following') === 1);
      {
        await using session = await database.session();
        await session.sql(`BEGIN; ${large(100_000)}`);
        await until('it is streamed', spooled);
        await server.restart!();
      }
      await until('it follows again', () => seen('following') === 2);
      await until('what was cut off is void', () => !spooled());
      await using session = await database.session();
      await session.sql(`BEGIN; ${large(200_000)}`);
      await until('it is streamed', spooled);
      await session.sql(`SAVEPOINT a; ${large(300_000)}; ROLLBACK TO a; COMMIT`);
      await until('it is there', () => !spooled());
      await server.restart!();
      await until('it follows again', () => seen('following') === 3);
      await until('it is there again', () => !spooled());
    });
    expect(result.code, result.stderr).toBe(130);
    const last = await world.catchUp();
    expect(last.code, last.stderr).toBe(0);
    await expectWhole(world, world.lake);
    expect(world.lake.changesOf('items')).toHaveLength(20_001);
  });

  test('in the middle of the full load', async () => {
    await using world = await setUp();
    await using bucket = await startBucketLake();
    const flags = ['--max-file-size', '200KiB', '--workers', '1', '--until-caught-up'];
    const args = [...world.args('s3://lake/shop/'), ...flags];
    const stalled = bucket.proxy.add({
      operation: 'PutObject',
      path: /LOAD00000002/,
      // Given up by the run that sent it, it arrives when the next one has put its own file there.
      fault: { kind: 'stall', ms: 5000 },
      times: 1,
    });
    const running = runProgram(world, args, bucket.env);
    await until('the load is under way', () => stalled() === 1);
    await server.restart!();
    await world.database.sql("UPDATE items SET v = 'after the snapshot' WHERE id % 100 = 0");
    const loaded = await running;
    expect(loaded.code, loaded.stderr).toBe(0);
    expect(loaded.stderr).toMatch(/"type":"notice","text":".*goes on in/);
    await world.database.sql("UPDATE items SET v = 'after the load' WHERE id < 10");
    const last = await runProgram(world, args, bucket.env);
    expect(last.code, last.stderr).toBe(0);
    await until('what was stalled has arrived', () =>
      bucket.proxy.log.some((line) => /^PutObject .*LOAD00000002.parquet \d+ late$/.test(line)),
    );
    await expectWhole(world, await bucket.read('shop/', world.name));
  });
});

describe('the disk of temporary files is full', () => {
  const PROGRAM = fileURLToPath(new URL('../../bin/longshore.mjs', import.meta.url));

  /** Runs the program where no file may grow beyond so many bytes. */
  async function limited(
    world: ReplicateWorld,
    args: readonly string[],
    fileBytesMax: number,
    env: Readonly<Record<string, string>>,
  ): Promise<ProgramResult> {
    const child = spawn(
      'sh',
      [
        '-c',
        'ulimit -f "$1" && shift && exec "$@"',
        'sh',
        String(fileBytesMax / 512),
        process.execPath,
        PROGRAM,
        ...args,
      ],
      {
        cwd: world.folder,
        env: programEnv(world, env),
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const ended = new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve([code, signal]));
    });
    const [stdout, stderr, [code, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      ended,
    ]);
    return { code, signal, stdout, stderr };
  }

  const BYTES_MAX = 512 * 1024;
  const full = (file: RegExp) => ({
    type: 'error',
    code: 'JOURNAL_UNWRITABLE',
    message: expect.stringMatching(file),
    hint: expect.stringContaining('TMPDIR'),
  });

  test.skipIf(process.platform === 'win32').each([
    ['a large transaction', 'BEGIN', /transaction-\d+\.spool: EFBIG/, []],
    ['a file of changes', undefined, /changes-\d+-\d+\.parquet: EFBIG/, ['--compression', 'none']],
  ] as const)('of %s', async (_, begin, file, flags) => {
    await using world = await setUp();
    await using bucket = await startBucketLake();
    const args = [...world.args('s3://lake/shop/'), '--until-caught-up', ...flags];
    const first = await runProgram(world, args, bucket.env);
    expect(first.code, first.stderr).toBe(0);
    // Streamed where it is one transaction.
    const some = (i: number) => `UPDATE items SET v = md5(v || ${i}) || repeat('x', 100)`;
    if (begin === undefined)
      for (let i = 0; i < 20; i++)
        await world.database.sql(`${some(i)} WHERE id BETWEEN ${i * 400} AND ${i * 400 + 399}`);
    else await world.database.sql(some(0));
    const before = await slotPlace(world);
    const broken = await limited(world, args, BYTES_MAX, bucket.env);
    expect(broken.code, broken.stderr).toBe(1);
    expect(errorOf(broken)).toMatchObject(full(file));
    expect(await slotPlace(world)).toEqual(before);
    const again = await runProgram(world, args, bucket.env);
    expect(again.code, again.stderr).toBe(0);
    await expectWhole(world, await bucket.read('shop/', world.name));
  });

  test.skipIf(process.platform === 'win32')('of a file of the full load', async () => {
    await using world = await setUp();
    await using bucket = await startBucketLake();
    const args = [...world.args('s3://lake/shop/'), '--until-caught-up', '--compression', 'none'];
    const broken = await limited(world, args, BYTES_MAX, bucket.env);
    expect(broken.code, broken.stderr).toBe(1);
    expect(errorOf(broken)).toMatchObject(full(/load-\d+-\d+\.parquet: EFBIG/));
    expect(
      await world.database.sql('SELECT FROM pg_replication_slots WHERE database = current_database()'),
    ).toEqual([]);
    const again = await runProgram(world, args, bucket.env);
    expect(again.code, again.stderr).toBe(0);
    await expectWhole(world, await bucket.read('shop/', world.name));
  });

  test('or is not there', async () => {
    await using world = await setUp();
    const absent = join(world.temporary, 'absent');
    const result = await runProgram(world, world.args(), { TMPDIR: absent });
    expect(result.code, result.stderr).toBe(1);
    expect(errorOf(result)).toMatchObject(full(/absent/));
    expect(existsSync(absent)).toBe(false);
  });

  const slotPlace = ({ database, name }: ReplicateWorld) =>
    database.sql(
      `SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'longshore_${name}'`,
    );
});
