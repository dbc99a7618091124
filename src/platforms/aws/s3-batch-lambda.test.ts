/** The function that Longshore prints, run as Lambda would run it, with an S3 that the test answers for. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type CopyAnswer,
  type CopyCall,
  type LambdaFunction,
  startLambda,
} from '../../../test/servers/lambda-function.ts';
import type { LambdaEvent } from '../../../test/servers/s3-control.ts';
import { lambdaSource } from './s3-batch-lambda.ts';
import { lambdaLine } from './s3-batch-manifest.ts';

const BOUNDS = {
  sourceBucket: 'legacy-s3',
  targetBucket: 'production-s3',
  targetPrefixes: ['avatar/', 'o\'dd"`${x}\\/'],
  keepTags: true,
};

let lambda: LambdaFunction;
let calls: CopyCall[];
let answer: CopyAnswer;
beforeEach(async () => {
  calls = [];
  answer = { etag: 'e2' };
  lambda = await startLambda(lambdaSource(BOUNDS), async (call) => {
    calls.push(call);
    return answer;
  });
});
afterEach(() => lambda[Symbol.asyncDispose]());

function event(s3Key: string, s3Bucket = 'legacy-s3'): LambdaEvent {
  return {
    invocationSchemaVersion: '2.0',
    invocationId: 'invocation',
    job: { id: 'job', userArguments: {} },
    tasks: [{ taskId: 'task', s3Key, s3VersionId: null, s3Bucket }],
  };
}

function field(task: Parameters<typeof lambdaLine>[1]): string {
  return lambdaLine('legacy-s3', task)!.trim().split(',')[1]!;
}

describe('the function', () => {
  test('copies what the source still holds, to an absent target', async () => {
    const task = { k: "image/a b+c/é🚢'(%41).png", t: 'avatar/x.png', e: 'e1', s: 'STANDARD_IA' };
    expect(await lambda.invoke(event(field(task)))).toEqual({
      invocationSchemaVersion: '2.0',
      treatMissingKeysAs: 'PermanentFailure',
      invocationId: 'invocation',
      results: [{ taskId: 'task', resultCode: 'Succeeded', resultString: '{"etag":"e2"}' }],
    });
    expect(calls).toEqual([
      {
        input: {
          Bucket: 'production-s3',
          Key: 'avatar/x.png',
          CopySource: 'legacy-s3/image/a%20b%2Bc/%C3%A9%F0%9F%9A%A2%27%28%2541%29.png',
          CopySourceIfMatch: '"e1"',
          MetadataDirective: 'COPY',
          TaggingDirective: 'COPY',
          StorageClass: 'STANDARD_IA',
        },
        headers: { 'if-none-match': '*' },
      },
    ]);
  });

  test('takes a payload that was decoded already', async () => {
    const payload = JSON.stringify({ k: 'image/50%.png', t: 'avatar/50%.png', e: 'e1' });
    expect((await lambda.invoke(event(payload))).results[0]?.resultCode).toBe('Succeeded');
    expect(calls[0]?.input['CopySource']).toBe('legacy-s3/image/50%25.png');
  });

  test.each([
    ['SlowDown', 503, 'TemporaryFailure'],
    ['InternalError', 500, 'TemporaryFailure'],
    ['RequestTimeout', 400, 'TemporaryFailure'],
    ['ConditionalRequestConflict', 409, 'TemporaryFailure'],
    ['PreconditionFailed', 412, 'PermanentFailure'],
    ['NoSuchKey', 404, 'PermanentFailure'],
    ['AccessDenied', 403, 'PermanentFailure'],
  ])('answers %s with %s', async (name, status, resultCode) => {
    answer = { error: { name, status, message: 'why' } };
    const { results } = await lambda.invoke(event(field({ k: 'a', t: 'avatar/a', e: 'e' })));
    expect(results[0]).toMatchObject({ resultCode, resultString: `${name}: why` });
  });

  test.each([
    ['another bucket', field({ k: 'a', t: 'avatar/a', e: 'e' }), 'other'],
    ['another target', field({ k: 'a', t: 'elsewhere/a', e: 'e' }), 'legacy-s3'],
    ['no payload at all', 'image%2Fa.png', 'legacy-s3'],
  ])('copies nothing for %s', async (_, key, bucket) => {
    expect((await lambda.invoke(event(key, bucket))).results[0]?.resultCode).toBe('PermanentFailure');
    expect(calls).toEqual([]);
  });
});

test('tags are left behind where asked', async () => {
  await using other = await startLambda(lambdaSource({ ...BOUNDS, keepTags: false }), async (call) => {
    calls.push(call);
    return answer;
  });
  await other.invoke(event(field({ k: 'a', t: 'avatar/a', e: 'e' })));
  expect(calls[0]?.input['TaggingDirective']).toBe('REPLACE');
});
