/** Requests to S3 Control: held against the service model that AWS publishes, and what it refuses as our errors. */

import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type S3Control, startS3Control } from '../../../test/servers/s3-control.ts';
import type { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { staticCredentials } from '../../stores/s3/credentials.ts';
import { type BatchControl, type BatchJob, openBatchControl } from './s3-batch.ts';
import { endedJobError } from './s3-batch-error.ts';

const PYTHON = process.env['LONGSHORE_TEST_BOTOCORE'] ?? 'python3';
const botocore = spawnSync(PYTHON, ['-c', 'import botocore']).status === 0;
if (!botocore) {
  console.warn(
    'skipped: no botocore; pip install botocore, or set LONGSHORE_TEST_BOTOCORE to a python that has it',
  );
}

const COPY: BatchJob = {
  token: 'a'.repeat(64),
  description: 'longshore move-1',
  priority: 10,
  roleArn: 'arn:aws:iam::123456789012:role/batch',
  operation: {
    kind: 'S3PutObjectCopy',
    targetBucket: 'production-s3',
    targetFolder: 'old',
    storageClass: 'STANDARD_IA',
  },
  manifest: { bucket: 'production-s3', key: 'avatar/.longshore-batch/m & n.csv', etag: 'abc-2' },
  report: { bucket: 'production-s3', prefix: 'avatar/.longshore-batch/report' },
};
const PLAIN: BatchJob = {
  ...COPY,
  token: 'b'.repeat(64),
  operation: {
    kind: 'S3PutObjectCopy',
    targetBucket: 'production-s3',
    targetFolder: '',
    storageClass: 'STANDARD',
  },
};
const LAMBDA: BatchJob = {
  ...COPY,
  token: 'c'.repeat(64),
  operation: { kind: 'LambdaInvoke', functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:copy:1' },
};

async function controlAt(endpoint: string): Promise<BatchControl> {
  return openBatchControl({
    accountId: '123456789012',
    region: 'eu-west-1',
    credentials: staticCredentials('AKIA', 'secret', 'token'),
    endpoint,
    clock: { ...systemClock, wait: async () => undefined },
    retry: { attemptsMax: 3, baseMs: 1, waitMsMax: 1 },
  });
}

describe('requests', () => {
  let stub: S3Control;
  let control: BatchControl;
  beforeEach(async () => {
    stub = await startS3Control({ stores: {} });
    control = await controlAt(stub.url);
  });
  afterEach(async () => {
    control[Symbol.dispose]();
    await stub[Symbol.asyncDispose]();
  });

  test('the same token answers the same job', async () => {
    const id = await control.createJob(COPY);
    expect(await control.createJob(COPY)).toBe(id);
    expect(await control.createJob(PLAIN)).not.toBe(id);
    expect(await control.describeJob(id)).toMatchObject({ status: 'New', tasks: 0, reason: undefined });
  });

  test('are signed for the service, the account in a header, the session in another', async () => {
    await control.createJob(COPY);
    const [{ headers }] = stub.requests as [(typeof stub.requests)[0]];
    expect(headers['authorization']).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIA\/\d{8}\/eu-west-1\/s3\/aws4_request/,
    );
    expect(headers['x-amz-account-id']).toBe('123456789012');
    expect(headers['x-amz-security-token']).toBe('token');
  });

  test.skipIf(!botocore)('fit the service model of AWS, and so do the answers of the stub', async () => {
    const ids: string[] = [];
    for (const job of [COPY, PLAIN, LAMBDA]) ids.push(await control.createJob(job));
    await control.describeJob(ids[0]!);
    const lines = stub.requests.map((request) =>
      JSON.stringify({ ...request, operation: request.method === 'POST' ? 'CreateJob' : 'DescribeJob' }),
    );
    const script = new URL('../../../test/fixtures/s3control/validate.py', import.meta.url).pathname;
    const ran = spawnSync(PYTHON, [script], { input: lines.join('\n'), encoding: 'utf8' });
    expect(ran.stderr).toBe('');
    const checked = ran.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(checked.map(({ problems }) => problems)).toEqual([[], [], [], []]);
    expect(checked[0].params).toMatchObject({
      AccountId: '123456789012',
      ClientRequestToken: COPY.token,
      ConfirmationRequired: false,
      Priority: 10,
      RoleArn: COPY.roleArn,
      Operation: {
        S3PutObjectCopy: {
          TargetResource: 'arn:aws:s3:::production-s3',
          TargetKeyPrefix: 'old',
          MetadataDirective: 'COPY',
          StorageClass: 'STANDARD_IA',
        },
      },
      Manifest: {
        Spec: { Format: 'S3BatchOperations_CSV_20180820', Fields: ['Bucket', 'Key'] },
        Location: {
          ObjectArn: 'arn:aws:s3:::production-s3/avatar/.longshore-batch/m & n.csv',
          ETag: 'abc-2',
        },
      },
      Report: {
        Enabled: true,
        Bucket: 'arn:aws:s3:::production-s3',
        Format: 'Report_CSV_20180820',
        Prefix: 'avatar/.longshore-batch/report',
        ReportScope: 'AllTasks',
      },
    });
    expect(checked[1].params.Operation).toEqual({
      S3PutObjectCopy: { TargetResource: 'arn:aws:s3:::production-s3', MetadataDirective: 'COPY' },
    });
    expect(checked[2].params.Operation).toEqual({
      LambdaInvoke: {
        FunctionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:copy:1',
        InvocationSchemaVersion: '2.0',
      },
    });
    expect(checked.slice(0, 3).map(({ answer }) => answer.JobId)).toEqual(ids);
    expect(checked[3].answer.Job).toMatchObject({ JobId: ids[0], Status: 'New' });
  });
});

describe('refusals', () => {
  test.each([
    [403, 'AccessDenied', 'STORE_DENIED', 1, true],
    [403, 'ExpiredToken', 'STORE_CREDENTIALS', 1, true],
    [400, 'InvalidRequest', 'CHECK_FAILED', 1, true],
    [400, 'IdempotencyException', 'CHECK_FAILED', 1, undefined],
    [400, 'TooManyRequestsException', 'STORE_SLOW_DOWN', 3, true],
    [500, 'InternalServiceException', 'STORE_UNAVAILABLE', 3, undefined],
  ])('%i %s', async (status, code, expected, attempts, noJob) => {
    let asked = 0;
    const server = createServer((_, response) => {
      asked++;
      response
        .writeHead(status, { 'content-type': 'application/xml' })
        .end(`<ErrorResponse><Error><Code>${code}</Code><Message>why</Message></Error></ErrorResponse>`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      using control = await controlAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      const error: LongshoreError = await control.createJob(COPY).then(
        () => expect.fail('a job was made'),
        (thrown) => thrown,
      );
      expect(error).toMatchObject({ code: expected, message: expect.stringContaining('why') });
      expect(error.context['noJob']).toBe(noJob);
      expect(asked).toBe(attempts);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('nobody there', async () => {
    using control = await controlAt('http://127.0.0.1:9');
    await expect(control.describeJob('x')).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    await expect(control.createJob(COPY)).rejects.toMatchObject({ context: { noJob: true } });
  });

  test('an answer that is lost leaves open whether there is a job, whatever comes after it', async () => {
    const fares = ['lost', 'refused'] as const;
    await using stub = await startS3Control({ stores: {}, onCreate: (n) => fares[n] });
    using control = await controlAt(stub.url);
    const error: LongshoreError = await control.createJob(COPY).catch((thrown) => thrown);
    expect(error.code).toBe('CHECK_FAILED');
    expect(error.context['noJob']).toBeUndefined();
    expect(stub.jobs).toHaveLength(1);
  });

  test('a job that S3 does not know', async () => {
    await using stub = await startS3Control({ stores: {} });
    using control = await controlAt(stub.url);
    expect(await control.describeJob('x')).toBeUndefined();
  });

  test('a denied CreateJob names both actions', async () => {
    const error = (await import('./s3-batch-error.ts')).batchError(
      's3:CreateJob',
      Object.assign(new Error('no'), { name: 'AccessDenied' }),
    );
    expect(error.hint).toMatch(/s3:CreateJob.*iam:PassRole/);
  });
});

test.each([
  ['Failed', /run again.*--copy-with store/],
  ['Cancelled', /run again/],
  ['Suspended', /update-job-status.*job-1/],
])('a job that is %s says what to do', (status, hint) => {
  const error = endedJobError('job-1', { status, reason: 'AccessDenied: role' });
  expect(error).toMatchObject({
    code: 'RUN_INCOMPLETE',
    message: expect.stringMatching(/job-1 is .*AccessDenied: role/),
  });
  expect(error?.hint).toMatch(hint);
});

test.each(['New', 'Preparing', 'Ready', 'Active', 'Pausing', 'Paused', 'Completing', 'Complete'])(
  'a job that is %s is no error',
  (status) => {
    expect(endedJobError('job-1', { status, reason: undefined })).toBeUndefined();
  },
);
