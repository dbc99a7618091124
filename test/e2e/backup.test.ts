/** `longshore backup` as a program: against others in the same second, killed and stopped anywhere, refused by the bucket. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/embedded/s3/faults.ts';
import { installedPgDump } from '../servers/pg-dump.ts';
import { type PostgresServer, postgresServer } from '../servers/postgres.ts';
import {
  type BackupWorld,
  BIG_ROWS,
  BUCKET,
  createBackupWorld,
  descendants,
  until,
} from '../worlds/backup-world.ts';
import { programEnv, runProgram } from './world.ts';

const client = await installedPgDump();

/** One that is named need not be looked for. */
const clientFolder = dirname(client?.path ?? '');
const LIMITED = { accessKeyId: 'limited', secretAccessKey: 'limited-secret' };
const SEED = Number(process.env['TEST_SEED'] ?? 4);

let server: PostgresServer;
let world: BackupWorld;
let small: string;
let big: string;
const all = new AsyncDisposableStack();
beforeAll(async () => {
  server = all.use(await postgresServer());
  world = all.use(
    await createBackupWorld({
      policies: [
        {
          ...LIMITED,
          allow: [
            { action: 's3:ListBucket', resource: 'looked-at*' },
            { action: 's3:*', resource: 'other*' },
          ],
        },
      ],
    }),
  );
  const [one, other] = [await server.createDatabase(), await server.createDatabase()];
  await one.sql('CREATE TABLE items AS SELECT i AS id FROM generate_series(1, 10) i');
  await other.sql(
    `CREATE TABLE big AS SELECT i AS id, repeat(md5(i::text), 250) AS v FROM generate_series(1, ${BIG_ROWS}) i`,
  );
  [small, big] = [one.url, other.url];
});
afterAll(() => all.disposeAsync());

let prefix: string;
let number = 0;
beforeEach(() => {
  prefix = `shop${++number}/`;
  world.proxy.clear();
});

const args = (database: string, ...more: string[]) => [
  ...['backup', '--database', database, '--to', `s3://${BUCKET}/${prefix}`],
  ...['--key', 'datadump{index}', '--compression', '0', '--client-folder', clientFolder, ...more],
];
const numbers = (keys: readonly string[]) =>
  keys.map((key) => Number(/datadump(\d+)/.exec(key)![1])).sort((left, right) => left - right);
const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const notes = '_longshore/backup/last-attempt.json';

describe.skipIf(client === undefined)('backups', () => {
  test('of two processes in the same second, 50 times, have a number each', async () => {
    const programs = 3;
    for (let round = 0; round < programs; round++) {
      const ended = await Promise.all([1, 2].map(() => runProgram(world, args(small))));
      for (const { code, stderr } of ended) expect(code, stderr).toBe(0);
    }
    // The start of a program takes longer than its backup: the other rounds are of two that are started already.
    const racer = fileURLToPath(new URL('../worlds/backup-racer.ts', import.meta.url));
    const racers = [1, 2].map(() => fork(racer, { cwd: world.folder, env: programEnv(world, {}) }));
    const options = {
      database: small,
      to: `s3://${BUCKET}/${prefix}`,
      key: 'datadump{index}',
      log: join(world.folder, 'log'),
      compression: 0,
      clientFolder,
    };
    try {
      for (let round = programs; round < 50; round++) {
        const answers = racers.map((process) => once(process, 'message') as Promise<[{ error?: string }]>);
        for (const process of racers) process.send(options);
        for (const [{ error }] of await Promise.all(answers)) expect(error).toBeUndefined();
      }
    } finally {
      for (const process of racers) process.disconnect();
    }
    const backups = await world.wholeBackups(prefix);
    expect(numbers(backups.map(({ manifest }) => manifest.key))).toEqual(range(100));
    const keys = await world.keys(prefix);
    expect(keys.filter((key) => key.startsWith('_longshore/'))).toEqual([notes]);
  });

  test('killed at any moment leave only whole ones, and the next one goes on', async () => {
    const random = seededRandom(SEED);
    /** Requests that change something, in their order: claim, upload, 8 parts, completion, roles, manifest, notes. */
    const moments = [1, 3, 6, 10, 11, 12, 13];
    for (const moment of moments) {
      const before = await world.wholeBackups(prefix);
      for (const operation of WRITES) world.proxy.add({ operation, fault: { kind: 'stall', ms: 60 } });
      const seen = () => world.proxy.log.filter((line) => line.endsWith(' stall')).length;
      const from = seen();
      const delayMs = random() * 60;
      let children: number[] = [];
      const killed = await runProgram(world, args(big), {}, (kill) => {
        const timer = setInterval(() => {
          if (seen() - from < moment) return;
          clearInterval(timer);
          setTimeout(() => {
            children = descendants().flatMap(({ pid, commandLine }) =>
              commandLine.includes('pg_dump\0') ? [pid] : [],
            );
            kill('SIGKILL');
          }, delayMs);
        }, 2);
      });
      expect(killed.signal, `moment ${moment}: ${killed.stderr}`).toBe('SIGKILL');
      if (moment > 1 && moment < 5) expect(children, `moment ${moment}`).toHaveLength(1);
      await until('no dump goes on', () => children.every((pid) => !isRunning(pid)));
      await until('what was on its way has arrived', () => world.proxy.underWay === 0);
      world.proxy.clear();
      const after = await world.wholeBackups(prefix);
      expect(after.length - before.length, `moment ${moment}`).toBe(moment === 13 ? 1 : 0);
      const taken = after.map(({ manifest }) => manifest.key);
      const next = await runProgram(world, args(small));
      expect(next.code, `after moment ${moment}: ${next.stderr}`).toBe(0);
      const whole = await world.wholeBackups(prefix);
      expect(numbers([whole.at(-1)!.manifest.key])).toEqual([Math.max(0, ...numbers(taken)) + 1]);
      const named = whole.flatMap(({ manifest, manifestKey }) => [
        manifestKey,
        ...manifest.files.map(({ key }) => key),
      ]);
      expect(await world.keys(prefix), `after moment ${moment}`).toEqual([...named, notes].sort());
      expect(world.temporaryFolders(), `after moment ${moment}`).toEqual([]);
    }
  });

  test.for([
    ['UploadPart', 0],
    ['CompleteMultipartUpload', 0],
    // The object is there, and is asked for once more.
    ['CompleteMultipartUpload', 1],
  ] as const)(
    'stopped while %s is under way leave nothing, with %i lost answers before',
    async ([operation, lost]) => {
      if (lost > 0) world.proxy.add({ operation, times: lost, fault: { kind: 'lost-answer' } });
      world.proxy.add({ operation, fault: { kind: 'stall', ms: 300 } });
      const from = world.proxy.log.length;
      const stopped = await runProgram(world, args(big), {}, (kill) => {
        const timer = setInterval(() => {
          const lines = world.proxy.log.slice(from).filter((line) => line.startsWith(operation));
          if (!lines.some((line) => line.endsWith(' stall'))) return;
          clearInterval(timer);
          kill('SIGINT');
        }, 2);
      });
      expect([stopped.code, stopped.stderr]).toEqual([130, expect.stringContaining('stopping')]);
      await until('what was on its way has arrived', () => world.proxy.underWay === 0);
      expect(await world.keys(prefix)).toEqual([notes]);
      expect(await world.uploads(prefix)).toBe(0);
      expect(descendants().filter(({ commandLine }) => commandLine.includes('pg_dump'))).toEqual([]);
      expect(world.temporaryFolders()).toEqual([]);
      expect(world.logged().at(-1)).toBe('stopped by SIGINT');
    },
  );

  test('into a bucket that may not be made, is of others, or is not there', async () => {
    const limited = {
      AWS_ACCESS_KEY_ID: LIMITED.accessKeyId,
      AWS_SECRET_ACCESS_KEY: LIMITED.secretAccessKey,
    };
    const into = (bucket: string, env: Record<string, string>) =>
      runProgram(world, ['backup', '--database', small, '--to', `s3://${bucket}/`], env);
    const notAllowed = await into('looked-at', limited);
    expect([notAllowed.code, notAllowed.stderr]).toEqual([3, expect.stringContaining('s3:CreateBucket')]);
    expect(notAllowed.stderr).not.toMatch(/somebody else/);
    world.proxy.add({
      operation: 'PutObject',
      path: /^\/taken/,
      fault: { kind: 'status', status: 409, code: 'BucketAlreadyExists' },
    });
    for (const [bucket, env] of [
      ['taken', {}],
      [BUCKET, limited],
    ] as const) {
      const others = await into(bucket, env);
      expect([others.code, others.stderr]).toEqual([3, expect.stringContaining("somebody else's")]);
    }
    expect(world.logged().at(-1)).toMatch(/somebody else's/);
    const list = await runProgram(world, ['backup', 'list', '--to', 's3://absent/']);
    expect([list.code, list.stderr]).toEqual([
      3,
      expect.stringMatching(/absent.*(does not exist|is not there|no bucket)/),
    ]);
  });
});

const WRITES = [
  'PutObject',
  'CreateMultipartUpload',
  'UploadPart',
  'CompleteMultipartUpload',
  'DeleteObject',
  'DeleteObjects',
];

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
