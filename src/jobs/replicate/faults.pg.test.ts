/** What the store may do wrong during a replication, and what is left of it: every change once, or a clear error. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ProxyFault } from '../../../test/servers/fault-proxy.ts';
import { versitygwAvailable } from '../../../test/servers/versitygw.ts';
import { type BucketLake, type StoreKind, startBucketLake } from '../../../test/worlds/bucket-lake.ts';
import { lakeJob } from '../../../test/worlds/lake-job.ts';
import { expectWholeLake } from '../../../test/worlds/whole-lake.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { startS3Server } from '../../embedded/s3/server.ts';
import type { Clock } from '../../flow/clock.ts';
import { openStore } from '../../stores/open-store.ts';
import { replicate } from './run.ts';
import type { ReplicateOptions } from './settings.ts';

const job = lakeJob('faults');
beforeEach(() =>
  job.database.sql(`ALTER DATABASE ${job.database.name} SET logical_decoding_work_mem = '64kB'`),
);

const prefix = () => `${job.name}/`;
const options = (more: Partial<ReplicateOptions> = {}) =>
  job.options({ to: `s3://lake/${prefix()}`, ...more });

/** Waits for nothing that a policy of retries asks for. */
const impatient: Clock = {
  now: () => Date.now(),
  wait: (_, signal) =>
    new Promise((resolve, reject) =>
      setImmediate(() => (signal?.aborted ? reject(signal.reason) : resolve())),
    ),
};

const FAULTS: readonly (readonly [string, ProxyFault])[] = [
  ['a 500', { kind: 'status', status: 500, code: 'InternalError' }],
  ['a 503 SlowDown', { kind: 'status', status: 503, code: 'SlowDown' }],
  ['a reset in the middle of the request', { kind: 'reset-request' }],
  ['a cut in the middle of the answer', { kind: 'cut-answer' }],
  ['a lost answer', { kind: 'lost-answer' }],
  ['a stall', { kind: 'stall', ms: 100 }],
];

const stores: StoreKind[] = ['embedded', ...(versitygwAvailable() ? ['versitygw' as const] : [])];

describe.each(stores)('on %s', (kind) => {
  let lake: BucketLake;
  beforeAll(async () => {
    lake = await startBucketLake(kind);
  });
  afterAll(() => lake[Symbol.asyncDispose]());
  beforeEach(() => lake.proxy.clear());

  const run = (more: Partial<ReplicateOptions> = {}) =>
    replicate(options(more), { env: lake.env, clock: impatient });

  const seed = () =>
    job.database.sql(`CREATE TABLE items (id int PRIMARY KEY, v text, doc jsonb);
      CREATE TABLE others (id int PRIMARY KEY, v text);
      INSERT INTO items SELECT i, 'loaded ' || i, '{}' FROM generate_series(1, 2000) i;
      INSERT INTO others SELECT i, 'loaded' FROM generate_series(1, 10) i`);

  /** Transactions of several kinds, one of them so large that it is streamed. */
  const change = (round: number) =>
    job.database.sql(`
      INSERT INTO items VALUES (${round} + 10000, 'new', NULL);
      BEGIN; UPDATE items SET v = 'round ${round}' WHERE id % 7 = ${round % 7}; DELETE FROM others WHERE id = ${round};
      UPDATE items SET id = -id WHERE id = 100 + ${round}; COMMIT;
      BEGIN; INSERT INTO items SELECT i, repeat('x', 100), NULL FROM generate_series(${round} * 100000, ${round} * 100000 + 3000) i;
      SAVEPOINT a; INSERT INTO others SELECT i, 'rolled back' FROM generate_series(100000, 103000) i; ROLLBACK TO a; COMMIT`);

  const expectWhole = async () =>
    expectWholeLake(await lake.read(prefix(), job.name), job.database, ['items', 'others']);

  describe('each kind of request goes wrong once', () => {
    /** What a full load and an epoch ask of the store. */
    const LOAD = [
      ['ListObjects', /prefix=.*epochs/],
      ['GetObject', /begun\.json/],
      ['ListObjects', /prefix=.*public/],
      ['DeleteObject', /begun\.json/],
      ['PutObject', /begun\.json/],
      ['PutObject', /plan\.json/],
      ['PutObject', /LOAD/],
      ['PutObject', /chunks/],
      ['PutObject', /epochs\/0000000000/],
      ['ListObjects', /prefix=.*chunks/],
      ['DeleteObjects', /^/],
      ['DeleteObject', /plan\.json/],
    ] as const;
    const EPOCH = [
      ['ListObjects', /prefix=.*epochs/],
      ['GetObject', /epochs\/0000000000/],
      ['GetObject', /pending\/0000000001/],
      ['PutObject', /pending\/0000000001/],
      ['PutObject', /public\/items\//],
      ['PutObject', /epochs\/0000000001/],
      ['DeleteObject', /pending\/0000000001/],
    ] as const;

    test.each(FAULTS)('by %s', async (_, fault) => {
      await seed();
      const rule = ([operation, path]: readonly [string, RegExp]) => ({
        rule: `${operation} ${path}`,
        used: lake.proxy.add({ operation, path, fault, times: 1 }),
      });
      const load = LOAD.map(rule);
      await run({ mode: 'full-load-and-cdc' });
      expect(load.filter(({ used }) => used() === 0).map((entry) => entry.rule)).toEqual([]);
      await expectWhole();
      await change(1);
      const epoch = EPOCH.map(rule);
      await run();
      expect(epoch.filter(({ used }) => used() === 0).map((entry) => entry.rule)).toEqual([]);
      await expectWhole();
    });
  });

  // Of the production server one is enough.
  test.each(kind === 'embedded' ? [1, 2, 3] : [4])(
    'every fifth request goes wrong, seed %i',
    async (randomSeed) => {
      await seed();
      lake.proxy.random({ seed: randomSeed, probability: 0.2, faults: FAULTS.map(([, fault]) => fault) });
      const before = lake.proxy.injected;
      await run();
      for (const round of [1, 2, 3, 4, 5, 6]) {
        await change(round);
        await run({ maxFileSize: 32 * 1024 });
      }
      expect(lake.proxy.injected - before).toBeGreaterThan(10);
      await expectWhole();
    },
  );

  test('a file in parts, every third request of which goes wrong', async () => {
    await job.database.sql(`CREATE TABLE items (id int PRIMARY KEY, v text);
      CREATE TABLE others (id int PRIMARY KEY, v text);
      INSERT INTO items SELECT i, repeat(md5(i::text), 1000) FROM generate_series(1, 2200) i`);
    const faults = FAULTS.map(([, fault]) => fault).filter((fault) => fault.kind !== 'stall');
    lake.proxy.random({ seed: 7, probability: 0.3, faults });
    const parts = () => lake.proxy.log.filter((line) => line.startsWith('UploadPart')).length;
    const before = parts();
    await run({ compression: 'none' });
    expect(parts() - before).toBeGreaterThan(9);
    await expectWhole();
  });

  test.runIf(kind === 'embedded')(
    'a store that goes away in the middle ends the run, and the next one goes on',
    async () => {
      await seed();
      await run();
      await change(1);
      const away = lake.proxy.add({
        operation: 'PutObject',
        path: /epochs/,
        fault: { kind: 'status', status: 500, code: 'InternalError' },
      });
      const error = await run().catch((thrown: unknown) => thrown);
      expect(away()).toBeGreaterThan(1);
      // In the middle of a run: no check that failed before anything changed.
      expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', context: { changed: true } });
      await lake.proxy.down();
      try {
        expect(await run().catch((thrown: unknown) => thrown)).toMatchObject({ code: 'STORE_UNREACHABLE' });
      } finally {
        await lake.proxy.up();
      }
      const [slot] = await job.database.sql(
        `SELECT count(*)::int AS n FROM pg_replication_slots WHERE slot_name = 'longshore_${job.name}'`,
      );
      expect(slot).toEqual({ n: 1 });
      lake.proxy.clear();
      await change(2);
      await run();
      await expectWhole();
    },
  );

  test.runIf(kind === 'embedded')(
    'a store that stalls longer than wal_sender_timeout while more is written',
    async () => {
      await seed();
      await run();
      await job.database.sql(`ALTER DATABASE ${job.database.name} SET wal_sender_timeout = '2s'`);
      const stalled = lake.proxy.add({
        operation: 'PutObject',
        path: /public/,
        fault: { kind: 'stall', ms: 6000 },
        times: 1,
      });
      const stop = new AbortController();
      let landed = 0;
      // Epochs are cut by size, so that nothing but the server's own time-out asks for reports in short order.
      const following = replicate(options({ untilCaughtUp: false, every: '10m', maxFileSize: 4096 }), {
        env: lake.env,
        signal: stop.signal,
        emit: ({ type }) => {
          if (type === 'epoch-landed') landed++;
        },
      });
      const ended = following.catch((error: unknown) => error);
      await change(1);
      for (let i = 0; landed < 3 && (await Promise.race([ended, pass()])) === undefined; i++)
        await job.database.sql(`INSERT INTO others VALUES (${i} + 1000, 'while it stalls')`);
      expect(stalled()).toBe(1);
      stop.abort(new Error('stopped'));
      expect(await ended).toMatchObject({ message: 'stopped' });
      await run();
      await expectWhole();
    },
  );
});

/** Lets what is under way go on. */
const pass = (): Promise<undefined> => new Promise((resolve) => setImmediate(() => resolve(undefined)));

describe('a bucket that refuses', () => {
  const key = { accessKeyId: 'limited', secretAccessKey: 'limited-secret' };

  async function limitedTo(...actions: string[]) {
    const server = await startS3Server({
      buckets: ['lake'],
      policies: [
        {
          ...key,
          allow: actions.flatMap((action) => [
            { action, resource: 'lake' },
            { action, resource: 'lake/*' },
          ]),
        },
      ],
    });
    const env = {
      AWS_ENDPOINT_URL: server.url,
      AWS_ACCESS_KEY_ID: key.accessKeyId,
      AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
      AWS_REGION: 'us-east-1',
    };
    const owner = {
      ...env,
      AWS_ACCESS_KEY_ID: server.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    };
    return { env, owner, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  }

  beforeEach(() => job.database.sql('CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1)'));

  test('writing, before anything is made on the server', async () => {
    await using lake = await limitedTo('s3:GetObject', 's3:ListBucket', 's3:DeleteObject');
    await expect(replicate(options(), { env: lake.env })).rejects.toMatchObject({
      code: 'STORE_DENIED',
      message: expect.stringContaining('s3:PutObject'),
      hint: expect.stringContaining('allow s3:PutObject on lake'),
    });
    expect(await job.onServer()).toEqual([]);
  });

  test('reading, before anything is made on the server', async () => {
    await using lake = await limitedTo('s3:PutObject');
    await expect(replicate(options(), { env: lake.env })).rejects.toMatchObject({ code: 'STORE_DENIED' });
    expect(await job.onServer()).toEqual([]);
  });

  test('to delete what an attempt before left', async () => {
    await using lake = await limitedTo('s3:GetObject', 's3:ListBucket', 's3:PutObject');
    const { env, owner } = lake;
    await replicate(options(), { env: owner });
    await job.database.sql('INSERT INTO t SELECT i, md5(i::text) FROM generate_series(2, 120000) i');
    const small = options({ maxFileSize: 4096, compression: 'none' });
    const stop = (point: string): void => {
      if (point === 'file-uploaded') throw new Error('stopped');
    };
    await expect(replicate(small, { env: owner, failpoint: stop })).rejects.toThrow('stopped');
    const files = async () => {
      await using opened = await openStore(parseStoreUrl('s3://lake/'), { env: owner, clock: impatient });
      return (await opened.store.list({ prefix: `${prefix()}public/` })).objects.map((object) => object.key);
    };
    expect((await files()).length).toBeGreaterThan(2);
    // With one file in place of several there is something to take away; no epoch may count before it is gone.
    await expect(replicate(options(), { env })).rejects.toMatchObject({ code: 'STORE_DENIED' });
    await replicate(options(), { env: owner });
    expect(await files()).toHaveLength(2);
  });

  test('to delete, before anything is made on the server', async () => {
    await using lake = await limitedTo('s3:GetObject', 's3:ListBucket', 's3:PutObject');
    await expect(replicate(options(), { env: lake.env })).rejects.toMatchObject({
      code: 'STORE_DENIED',
      hint: expect.stringContaining('allow s3:DeleteObject on lake'),
    });
    expect(await job.onServer()).toEqual([]);
  });
});
