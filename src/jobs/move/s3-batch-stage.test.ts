/** Moves whose copies are made by jobs of S3 Batch Operations, on the embedded S3 server and a stand-in for S3 Control. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CopyAnswer, type CopyCall, startLambda } from '../../../test/servers/lambda-function.ts';
import { type S3Control, type S3ControlOptions, startS3Control } from '../../../test/servers/s3-control.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { type S3Server, startS3Server } from '../../embedded/s3/server.ts';
import { Journal } from '../../engine/journal.ts';
import { listRuns } from '../../engine/run-folder.ts';
import { systemClock } from '../../flow/clock.ts';
import type { Failpoint } from '../../flow/failpoint.ts';
import type { ObjectStore } from '../../stores/object-store.ts';
import { openStore } from '../../stores/open-store.ts';
import { isBatchFile } from './batch-place.ts';
import { move } from './run.ts';
import { batchUnderWay } from './s3-batch-stage.ts';
import type { MoveOptions } from './settings.ts';
import type { MoveSummary } from './summary.ts';

const KEYS = [
  'image/plain.png',
  'image/with space.png',
  'image/a+b.png',
  'image/100%25.png',
  'image/50%.png',
  'image/été.png',
  'image/🚢.png',
  'image/comma,comma.png',
  'image/"quoted".png',
  'image/line\nbreak.png',
  "image/(paren)'s.png",
  'image/{"k":1}.png',
];
const ROLE = 'arn:aws:iam::123456789012:role/batch';
const LAMBDA = 'arn:aws:lambda:us-east-1:123456789012:function:copy';
const CLOCK = { ...systemClock, wait: async () => undefined };

let folder: string;
let cleanup: AsyncDisposableStack;
let s3: S3Server;
let legacy: ObjectStore;
let production: ObjectStore;
let control: S3Control;
let notices: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-s3-batch-'));
  cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  s3 = cleanup.use(await startS3Server({ buckets: ['legacy-s3', 'production-s3'] }));
  [legacy, production] = [await open('s3://legacy-s3/'), await open('s3://production-s3/')];
  notices = [];
});
afterEach(() => cleanup.disposeAsync());

async function open(url: string): Promise<ObjectStore> {
  return cleanup.use(await openStore(parseStoreUrl(url), { env: environment(), clock: systemClock })).store;
}

function environment(): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_S3: s3.url,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
    AWS_REGION: 'us-east-1',
    ...(control === undefined ? {} : { AWS_ENDPOINT_URL_S3_CONTROL: control.url }),
  };
}

async function startControl(options: Partial<S3ControlOptions> = {}): Promise<void> {
  const stores = { 'legacy-s3': legacy, 'production-s3': production };
  control = cleanup.use(await startS3Control({ stores, ...options }));
}

async function put(store: ObjectStore, key: string, text = key, storageClass?: string): Promise<void> {
  const body = Buffer.from(text);
  await store.put({
    key,
    body,
    sizeBytes: body.byteLength,
    attributes: {
      contentType: 'image/png',
      metadata: { user: '7' },
      ...(storageClass === undefined ? {} : { storageClass }),
    },
    tags: [{ key: 'kind', value: 'avatar' }],
    ifAbsent: false,
  });
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const { objects } = await store.list({ prefix });
  return objects.map(({ key }) => key).filter((key) => !key.includes('.longshore-batch/'));
}

async function textAt(store: ObjectStore, key: string): Promise<string | undefined> {
  const opened = await store.get({ key });
  if (opened === undefined) return undefined;
  let text = '';
  for await (const chunk of opened.body) text += String(chunk);
  return text;
}

function run(options: Partial<MoveOptions> = {}, failpoint?: Failpoint): Promise<MoveSummary> {
  return move(
    {
      from: 's3://legacy-s3/image/',
      to: 's3://production-s3/old/image/',
      delete: 'proven',
      copyWith: 's3-batch',
      batch: { accountId: '123456789012', roleArn: ROLE },
      ...options,
    },
    {
      env: environment(),
      stateFolder: folder,
      clock: CLOCK,
      emit: (event) => {
        if (event.type === 'notice') notices.push(event.text);
      },
      failpoint,
    },
  );
}

/** CopyObject requests that our own engine sent. */
function ownCopies(before: number): number {
  return (s3.requests['CopyObject'] ?? 0) - before;
}

describe('the copy operation', () => {
  test('copies what it can; the rest of the move is as always', async () => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    await put(legacy, 'image/rare.png', 'rare', 'STANDARD_IA');
    await put(legacy, 'image/there.png');
    await put(production, 'old/image/there.png', 'image/there.png');
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(summary.total.objects).toMatchObject({ copied: KEYS.length + 1, already: 1, failed: 0 });
    expect(summary.total.how.server).toBe(KEYS.length + 1);
    expect(summary.total.deletes.deleted).toBe(KEYS.length + 2);
    expect(await keysOf(legacy, '')).toEqual([]);
    for (const key of KEYS) expect(await textAt(production, `old/${key}`)).toBe(key);
    const head = await production.head('old/image/a+b.png');
    expect(head?.attributes).toMatchObject({ contentType: 'image/png', metadata: { user: '7' } });
    expect(await production.tags('old/image/a+b.png')).toEqual([{ key: 'kind', value: 'avatar' }]);
    expect((await production.head('old/image/rare.png'))?.attributes.storageClass).toBe('STANDARD_IA');
    // One job a storage class; what was there already is in none.
    expect(control.jobs.map(({ total, succeeded }) => [total, succeeded]).sort()).toEqual([
      [1, 1],
      [KEYS.length, KEYS.length],
    ]);
    expect(control.jobs[0]?.body).toContain('<TargetKeyPrefix>old</TargetKeyPrefix>');
    expect(notices.join('\n')).toMatch(/copied 13 of 13/);
  });

  test('does all copies: our own engine makes none', async () => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    let copies = 0;
    await run({ delete: 'never' }, (name) => {
      if (name === 'batch-report') copies = s3.requests['CopyObject'] ?? 0;
    });
    expect(copies).toBeGreaterThanOrEqual(KEYS.length);
    expect(ownCopies(copies)).toBe(0);
  });

  test('what a job fails to copy, our own engine copies', async () => {
    await startControl({ fails: (key) => (key.includes('+') ? 'no right' : undefined) });
    for (const key of KEYS) await put(legacy, key);
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(summary.total.objects.copied).toBe(KEYS.length);
    expect(await textAt(production, 'old/image/a+b.png')).toBe('image/a+b.png');
    expect(notices.join('\n')).toMatch(/failed to copy 1: image\/a\+b\.png: AccessDenied 400 no right/);
  });

  test('what was overwritten in the source after its copy is brought up to date', async () => {
    await startControl({ onComplete: () => put(legacy, 'image/plain.png', 'newer') });
    for (const key of KEYS) await put(legacy, key);
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(summary.total.objects).toMatchObject({ refreshed: 1, collision: 0 });
    expect(await textAt(production, 'old/image/plain.png')).toBe('newer');
  });

  test('what vanished from the source and what appeared there does not matter', async () => {
    await startControl({
      onActive: async () => {
        await legacy.delete([{ key: 'image/plain.png' }]);
        await put(legacy, 'image/late.png');
      },
    });
    for (const key of KEYS) await put(legacy, key);
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(await textAt(production, 'old/image/late.png')).toBe('image/late.png');
    expect(await keysOf(legacy, '')).toEqual([]);
  });

  test('manifests and reports go where asked', async () => {
    await startControl();
    await put(legacy, KEYS[0]!);
    const batch = { accountId: '123456789012', roleArn: ROLE, prefix: 's3://legacy-s3/jobs/' };
    await run({ batch });
    const keys = await keysOf(legacy, 'jobs/');
    expect(keys.some((key) => key.endsWith('/manifest-1-1.csv'))).toBe(true);
    expect(keys.some((key) => /\/report-1-1\/job-[^/]+\/manifest\.json$/.test(key))).toBe(true);
    expect(await production.list({ prefix: 'old/image/.longshore-batch/' })).toMatchObject({ objects: [] });
  });

  test('no job on a store that is not AWS; Longshore copies', async () => {
    await startControl();
    await put(legacy, KEYS[0]!);
    const env = environment();
    delete env['AWS_ENDPOINT_URL_S3_CONTROL'];
    const summary = await move(
      {
        from: 's3://legacy-s3/image/',
        to: 's3://production-s3/old/image/',
        copyWith: 's3-batch',
        batch: { accountId: '123456789012', roleArn: ROLE },
        delete: 'never',
      },
      { env, stateFolder: folder, emit: (event) => event.type === 'notice' && notices.push(event.text) },
    );
    expect(summary.total.objects.copied).toBe(1);
    expect(control.jobs).toEqual([]);
    expect(notices.join('\n')).toMatch(/exist on AWS only/);
  });
});

describe('killed and run again', () => {
  test.each([
    'batch-tasks',
    'batch-manifest',
    'batch-creating',
    'batch-created',
    'batch-ended',
    'batch-report',
  ])('at %s: one job, and the same result', async (point) => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    await expect(
      run({}, (name) => {
        if (name === point) throw new Error('killed');
      }),
    ).rejects.toThrow('killed');
    const summary = await run();
    expect(summary.failures).toBe(0);
    expect(summary.total.objects.copied).toBe(KEYS.length);
    expect(await keysOf(legacy, '')).toEqual([]);
    expect(control.jobs).toHaveLength(1);
  });

  test('without s3-batch, while the job is under way, is refused', async () => {
    await startControl({ courses: [['New', 'Active', 'Complete']] });
    for (const key of KEYS) await put(legacy, key);
    const stop = new Error('killed');
    let created = false;
    await expect(
      run({}, (name) => {
        created ||= name === 'batch-created';
        if (name === 'batch-ended') throw stop;
      }),
    ).rejects.toThrow(stop);
    expect(created).toBe(true);
    await expect(run({ copyWith: 'store', batch: undefined })).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringMatching(/under way/),
    });
    expect((await run()).failures).toBe(0);
  });
});

/** Runs until the failpoint. */
async function killedAt(point: string, options: Partial<MoveOptions> = {}): Promise<void> {
  await expect(
    run(options, (name) => {
      if (name === point) throw new Error('killed');
    }),
  ).rejects.toThrow('killed');
}

function underWay(): string | undefined {
  const [name] = listRuns(folder);
  using journal = Journal.open(join(folder, name!), 'move', 'read');
  return batchUnderWay(journal);
}

const WITHOUT_JOBS = { copyWith: 'store', batch: undefined } as const;

describe('a job whose creation was begun', () => {
  test.each(['batch-creating', 'batch-created'])('killed at %s: may be under way', async (point) => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    await killedAt(point);
    expect(underWay()).toMatch(/may be under way/);
    await expect(run(WITHOUT_JOBS)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      hint: expect.stringMatching(/run again with --copy-with s3-batch until it has ended/),
    });
    expect((await run()).failures).toBe(0);
    expect(underWay()).toBeUndefined();
    expect(control.jobs).toHaveLength(1);
  });

  test('refused: no job, so that other settings or no jobs at all go on', async () => {
    await startControl({ onCreate: (n) => (n < 2 ? 'refused' : undefined) });
    for (const key of KEYS) await put(legacy, key);
    await expect(run()).rejects.toMatchObject({ message: expect.stringMatching(/cannot be assumed/) });
    expect(underWay()).toBeUndefined();
    await expect(run()).rejects.toMatchObject({ code: 'CHECK_FAILED' });
    const roleArn = `${ROLE}-corrected`;
    expect((await run({ batch: { accountId: '123456789012', roleArn } })).failures).toBe(0);
    expect(control.jobs[0]?.body).toContain(roleArn);
  });

  test('refused, and then copied by Longshore', async () => {
    await startControl({ onCreate: () => 'refused' });
    for (const key of KEYS) await put(legacy, key);
    await expect(run()).rejects.toMatchObject({ code: 'CHECK_FAILED' });
    expect((await run(WITHOUT_JOBS)).failures).toBe(0);
    expect(await keysOf(legacy, '')).toEqual([]);
  });

  test('S3 Control cannot be reached at all: copied by Longshore where asked', async () => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    await control[Symbol.asyncDispose]();
    await expect(run()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect(underWay()).toBeUndefined();
    expect((await run(WITHOUT_JOBS)).failures).toBe(0);
  });

  test('its answer lost, then refused: may be under way, and says as what it was begun', async () => {
    let answers: ('lost' | 'refused' | undefined)[] = ['lost', 'refused', 'refused'];
    await startControl({ onCreate: () => answers.shift() });
    for (const key of KEYS) await put(legacy, key);
    await expect(run()).rejects.toMatchObject({ code: 'CHECK_FAILED' });
    expect(underWay()).toMatch(/may be under way/);
    await expect(
      run({ batch: { accountId: '123456789012', roleArn: `${ROLE}-other` } }),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/role\/batch, priority 10/),
      hint: expect.stringMatching(/list-jobs/),
    });
    expect(underWay()).toMatch(/may be under way/);
    answers = [];
    expect((await run()).failures).toBe(0);
    expect(control.jobs).toHaveLength(1);
  });

  test.each([{ priority: 20 }, { roleArn: `${ROLE}-other` }, { prefix: 's3://legacy-s3/jobs/' }])(
    'goes on as it was begun, with %j',
    async (change) => {
      await startControl();
      for (const key of KEYS) await put(legacy, key);
      await killedAt('batch-created');
      const summary = await run({ batch: { accountId: '123456789012', roleArn: ROLE, ...change } });
      expect(summary.failures).toBe(0);
      expect(control.jobs).toHaveLength(1);
      expect(notices.join('\n')).toMatch(/copied 12 of 12/);
    },
  );

  test('is asked about in the account where it was made', async () => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    await killedAt('batch-ended');
    expect((await run({ batch: { accountId: '210987654321', roleArn: ROLE } })).failures).toBe(0);
    expect(new Set(control.requests.map(({ headers }) => headers['x-amz-account-id']))).toEqual(
      new Set(['123456789012']),
    );
  });

  test('a manifest without a job is made again where the settings say by then', async () => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    await killedAt('batch-manifest');
    // What appears meanwhile is in no manifest any more.
    await put(production, 'old/image/plain.png', 'of someone else');
    const batch = { accountId: '123456789012', roleArn: ROLE, prefix: 's3://legacy-s3/jobs/' };
    const summary = await run({ batch, collisions: 'skip' });
    expect(summary.left.objects.collision).toBe(1);
    expect(control.jobs.map(({ total, succeeded }) => [total, succeeded])).toEqual([
      [KEYS.length - 1, KEYS.length - 1],
    ]);
    expect(await textAt(production, 'old/image/plain.png')).toBe('of someone else');
  });
});

describe('a report', () => {
  /** Does something to each object of the report with that in its key. */
  function spoils(part: string, how: (key: string) => Promise<unknown>): Partial<S3ControlOptions> {
    return {
      onComplete: async () => {
        const { objects } = await production.list({ prefix: 'old/image/.longshore-batch/' });
        for (const { key } of objects) if (key.includes(part)) await how(key);
      },
    };
  }
  const removes = (key: string): Promise<unknown> => production.delete([{ key }]);

  test.each<[string, Partial<S3ControlOptions>, RegExp]>([
    ['that is missing', spoils('/report-', removes), /left no report: every object/],
    ['that misses a file', spoils('/results/', removes), /does not exist\): every object/],
    [
      'with another MD5',
      spoils('/results/', (key) => put(production, key, 'b,image/plain.png,,succeeded,,200,\n')),
      /MD5 is not the one.*every object/,
    ],
    ['that is none', spoils('manifest.json', (key) => put(production, key, '{')), /not JSON.*every object/],
  ])('%s is said, and every object looked at', async (_, options, said) => {
    await startControl(options);
    for (const key of KEYS) await put(legacy, key);
    expect((await run()).failures).toBe(0);
    expect(notices.join('\n')).toMatch(said);
    expect(await keysOf(legacy, '')).toEqual([]);
    for (const key of KEYS) expect(await textAt(production, `old/${key}`)).toBe(key);
  });

  test('that cannot be read now does not keep Longshore from copying, nor from reading it later', async () => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    const rule = {
      match: { operation: 'GetObject', keyPattern: 'report-' },
      fault: { kind: 'denied' },
    } as const;
    s3.faults.add(rule);
    await expect(run()).rejects.toMatchObject({ code: 'STORE_DENIED' });
    expect(underWay()).toBeUndefined();
    await expect(run()).rejects.toMatchObject({ code: 'STORE_DENIED' });
    expect((await run(WITHOUT_JOBS)).failures).toBe(0);
    expect(control.jobs).toHaveLength(1);
  });

  test.each(
    ['manifest\\.json', 'results/'].flatMap((file) => [[file, 'cut'] as const, [file, 'early'] as const]),
  )('whose %s is %s once is read again', async (file, end) => {
    await startControl();
    for (const key of KEYS) await put(legacy, key);
    s3.faults.add({
      match: { operation: 'GetObject', keyPattern: `report-.*${file}` },
      fault: { kind: 'truncated-200', end },
      times: 1,
    });
    expect((await run()).failures).toBe(0);
    expect(notices.join('\n')).toMatch(/copied 12 of 12/);
  });
});

test('a job that S3 no longer knows counts as ended', async () => {
  await startControl();
  for (const key of KEYS) await put(legacy, key);
  await killedAt('batch-ended');
  control.jobs.splice(0);
  expect((await run()).failures).toBe(0);
  expect(notices.join('\n')).toMatch(/no longer know job/);
  expect(await keysOf(legacy, '')).toEqual([]);
  expect(control.jobs).toEqual([]);
});

test('a source overwritten before and after its copy is brought up to date', async () => {
  await startControl({
    onActive: () => put(legacy, 'image/plain.png', 'second'),
    onComplete: () => put(legacy, 'image/plain.png', 'third'),
  });
  for (const key of KEYS) await put(legacy, key);
  const summary = await run();
  expect(summary.failures).toBe(0);
  expect(summary.total.objects).toMatchObject({ refreshed: 1, collision: 0 });
  expect(await textAt(production, 'old/image/plain.png')).toBe('third');
});

test('what a service wrote over the copy of a job is not taken for it', async () => {
  await startControl({ onComplete: () => put(production, 'old/image/plain.png', 'of someone else') });
  for (const key of KEYS) await put(legacy, key);
  const summary = await run({ collisions: 'skip' });
  expect(summary.left.objects.collision).toBe(1);
  expect(await textAt(production, 'old/image/plain.png')).toBe('of someone else');
});

describe('a place inside the source', () => {
  test.each(['s3://legacy-s3/image/jobs/', 's3://legacy-s3/image'])('%s is refused', async (prefix) => {
    await startControl();
    await expect(run({ batch: { accountId: '123456789012', roleArn: ROLE, prefix } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/inside what is moved: s3:\/\/legacy-s3\/image\//),
    });
  });

  test('what lies in a place of its own is known by its key', () => {
    expect(isBatchFile('.longshore-batch/run/manifest-1-1.csv')).toBe(true);
    expect(isBatchFile('old/image/.longshore-batch/run/report/manifest.json')).toBe(true);
    expect(isBatchFile('old/image.longshore-batch/x')).toBe(false);
  });
});

describe('a job that is not complete', () => {
  test('does not end the waiting for the others', async () => {
    await startControl({ courses: [['Failed'], ['New', 'Active', 'Active', 'Complete'], ['Complete']] });
    await put(legacy, 'image/a.png');
    await put(legacy, 'image/b.png', 'b', 'STANDARD_IA');
    await expect(run()).rejects.toMatchObject({ code: 'RUN_INCOMPLETE' });
    expect(control.jobs.map(({ status }) => status)).toEqual(['Failed', 'Complete']);
    expect((await run(WITHOUT_JOBS)).failures).toBe(0);
  });

  test('the creation of one refused: the others are waited for', async () => {
    await startControl({ onCreate: (n) => (n === 1 ? 'refused' : undefined) });
    await put(legacy, 'image/a.png');
    await put(legacy, 'image/b.png', 'b', 'STANDARD_IA');
    await expect(run()).rejects.toMatchObject({ message: expect.stringMatching(/cannot be assumed/) });
    expect(control.jobs.map(({ status }) => status)).toEqual(['Complete']);
    expect((await run(WITHOUT_JOBS)).failures).toBe(0);
  });

  test('what appeared at a target since is left out of the job after it', async () => {
    await startControl({ courses: [['Failed']] });
    for (const key of KEYS) await put(legacy, key);
    await expect(run()).rejects.toMatchObject({ code: 'RUN_INCOMPLETE' });
    await put(production, 'old/image/a+b.png', 'of someone else');
    const summary = await run({ collisions: 'skip' });
    expect(summary.left.objects.collision).toBe(1);
    expect(await textAt(production, 'old/image/a+b.png')).toBe('of someone else');
  });

  test('failed: says so, and another one copies what is left', async () => {
    await startControl({
      courses: [
        ['Preparing', 'Failed'],
        ['Active', 'Complete'],
      ],
    });
    for (const key of KEYS) await put(legacy, key);
    await expect(run()).rejects.toMatchObject({
      code: 'RUN_INCOMPLETE',
      message: expect.stringMatching(/failed: JobFailed: too many tasks failed/),
    });
    expect((await run()).failures).toBe(0);
    expect(control.jobs.map(({ total }) => total)).toEqual([KEYS.length, KEYS.length - 1]);
    expect(new Set(control.jobs.map(({ token }) => token)).size).toBe(2);
  });

  test('failed: copied by Longshore where asked', async () => {
    await startControl({ courses: [['Failed']] });
    for (const key of KEYS) await put(legacy, key);
    await expect(run()).rejects.toMatchObject({ code: 'RUN_INCOMPLETE' });
    const summary = await run({ copyWith: 'store', batch: undefined });
    expect(summary.failures).toBe(0);
    expect(await keysOf(legacy, '')).toEqual([]);
    expect(control.jobs).toHaveLength(1);
  });

  test('suspended: says how to confirm it, and is waited for again', async () => {
    await startControl({ courses: [['New', 'Suspended', 'Active', 'Complete']] });
    for (const key of KEYS) await put(legacy, key);
    await expect(run()).rejects.toMatchObject({ hint: expect.stringMatching(/requested-job-status Ready/) });
    expect((await run()).failures).toBe(0);
    expect(control.jobs).toHaveLength(1);
  });
});

describe('the function', () => {
  const rules = [{ pattern: 'image/(.*)', replacement: 'avatar/$1' }];
  const to = 's3://production-s3/avatar/';
  const batch = { accountId: '123456789012', roleArn: ROLE, lambdaArn: LAMBDA };

  /** CopyObject with conditions, on the embedded server. */
  async function copy({ input, headers }: CopyCall): Promise<CopyAnswer> {
    expect(headers).toEqual({ 'if-none-match': '*' });
    const [, source] = /^legacy-s3\/(.*)$/s.exec(decodeURIComponent(input['CopySource']!))!;
    const outcome = await production.copyFrom(legacy, {
      sourceKey: source!,
      sourceEtag: input['CopySourceIfMatch']!.replaceAll('"', ''),
      targetKey: input['Key']!,
      ifAbsent: true,
      keep: { tags: true },
    });
    if (outcome.kind === 'copied') return { etag: outcome.etag };
    return { error: { name: 'PreconditionFailed', message: outcome.kind, status: 412 } };
  }

  /** Runs without a function, which writes it; then starts it. */
  async function startPrinted(more: Partial<S3ControlOptions> = {}): Promise<void> {
    await startControl({ lambda: (event) => lambda.invoke(event), ...more });
    await expect(run({ to, rules })).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      hint: expect.stringMatching(/index\.mjs.*--batch-lambda/),
    });
    const [name] = listRuns(folder);
    const lambda = cleanup.use(
      await startLambda(readFileSync(join(folder, name!, 'index.mjs'), 'utf8'), copy),
    );
  }

  test('is printed, asked for, and copies for any rule', async () => {
    for (const key of KEYS) await put(legacy, key);
    await startPrinted();
    const summary = await run({ to, rules, batch });
    expect(summary.failures).toBe(0);
    expect(summary.total.objects.copied).toBe(KEYS.length);
    expect(control.jobs.map(({ total, succeeded }) => [total, succeeded])).toEqual([
      [KEYS.length, KEYS.length],
    ]);
    for (const key of KEYS) expect(await textAt(production, key.replace('image/', 'avatar/'))).toBe(key);
    expect(await keysOf(legacy, '')).toEqual([]);
  });

  test('leaves alone what appears at a target meanwhile', async () => {
    for (const key of KEYS) await put(legacy, key);
    await startPrinted({ onActive: () => put(production, 'avatar/plain.png', 'of someone else') });
    const summary = await run({ to, rules, batch, collisions: 'skip' });
    expect(summary.left.objects.collision).toBe(1);
    expect(await textAt(production, 'avatar/plain.png')).toBe('of someone else');
    expect(await keysOf(legacy, '')).toEqual(['image/plain.png']);
  });

  test('goes on with the function that was given, where the settings name none any more', async () => {
    for (const key of KEYS) await put(legacy, key);
    await startPrinted();
    await killedAt('batch-tasks', { to, rules, batch });
    expect((await run({ to, rules })).failures).toBe(0);
    expect(control.jobs.map(({ succeeded }) => succeeded)).toEqual([KEYS.length]);
    expect(control.jobs[0]?.body).toContain(LAMBDA);
  });

  test('keys too long for its payload are copied by our own engine', async () => {
    const long = `image/${'é'.repeat(120)}.png`;
    await put(legacy, long);
    await put(legacy, KEYS[0]!);
    await startPrinted();
    const summary = await run({ to, rules, batch });
    expect(summary.total.objects.copied).toBe(2);
    expect(control.jobs[0]?.total).toBe(1);
  });
});

test('no account, no job', async () => {
  await expect(run({ batch: undefined })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    hint: expect.stringMatching(/--batch-account/),
  });
});
