/** Manifest lines and completion reports: what goes out comes back. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ObjectStore } from '../../stores/object-store.ts';
import { copyLine, lambdaLine, sourceKeyOf } from './s3-batch-manifest.ts';
import { type BatchResult, readBatchReport } from './s3-batch-report.ts';

const SCHEMA = 'Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage';

function storeOf(objects: Readonly<Record<string, string>>): ObjectStore {
  return {
    get: async ({ key }: { key: string }) =>
      objects[key] === undefined ? undefined : { body: Readable.from([Buffer.from(objects[key])]) },
  } as unknown as ObjectStore;
}

async function read(
  objects: Readonly<Record<string, string>>,
  operation: 'S3PutObjectCopy' | 'LambdaInvoke' = 'S3PutObjectCopy',
): Promise<BatchResult[]> {
  const results: BatchResult[] = [];
  const report = { prefix: 'r', jobId: '1' };
  for await (const batch of readBatchReport(storeOf(objects), report, operation)) results.push(...batch);
  return results;
}

function manifestOf(files: Readonly<Record<string, string>>): string {
  const Results = Object.entries(files).map(([Key, text]) => ({
    TaskExecutionStatus: 'any',
    Bucket: 'b',
    Key,
    MD5Checksum: createHash('md5').update(text).digest('hex'),
  }));
  return JSON.stringify({ Format: 'Report_CSV_20180820', Results, ReportSchema: SCHEMA });
}

const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });

test('keys of every kind survive a manifest and a report', () => {
  fc.assert(
    fc.property(key, key, (source, target) => {
      const fieldOf = (line: string): string => line.slice('bucket,'.length, -1);
      const copied = fieldOf(copyLine('bucket', source));
      expect(copied).toMatch(/^[A-Za-z0-9_.~%/-]+$/);
      expect(sourceKeyOf(copied, 'S3PutObjectCopy')).toBe(source);
      const called = fieldOf(lambdaLine('bucket', { k: source, t: target, e: 'e' })!);
      expect(sourceKeyOf(called, 'LambdaInvoke')).toBe(source);
      expect(sourceKeyOf(decodeURIComponent(called), 'LambdaInvoke')).toBe(source);
    }),
  );
});

test('a payload that no manifest takes has no line', () => {
  const long = 'é'.repeat(100);
  expect(lambdaLine('b', { k: long, t: long, e: 'e' })).toBeUndefined();
  expect(lambdaLine('b', { k: 'a', t: 'b', e: 'e' })).toBeDefined();
});

test('results of both files, with what went wrong and the ETag that the function answered', async () => {
  const files = {
    'r/job-1/results/a.csv': 'b,%7B%22k%22%3A%22a%2Bb%22%7D,,succeeded,,200,"{""etag"":""e2""}"\n',
    'r/job-1/results/b.csv':
      'b,%7B%22k%22%3A%22c%22%7D,,failed,PermanentFailure,,"NoSuchKey: gone, long ago"\n',
  };
  expect(await read({ ...files, 'r/job-1/manifest.json': manifestOf(files) }, 'LambdaInvoke')).toEqual([
    { sourceKey: 'a+b', succeeded: true, etag: 'e2', error: undefined },
    {
      sourceKey: 'c',
      succeeded: false,
      etag: undefined,
      error: 'PermanentFailure NoSuchKey: gone, long ago',
    },
  ]);
});

test('no report, no results', async () => {
  expect(await read({})).toEqual([]);
});

test.each([
  ['no JSON', { 'r/job-1/manifest.json': '{' }],
  ['no report', { 'r/job-1/manifest.json': '{}' }],
  ['no such file', { 'r/job-1/manifest.json': manifestOf({ 'r/gone.csv': '' }) }],
  [
    'another MD5',
    { 'r/job-1/manifest.json': manifestOf({ 'r/a.csv': 'x' }), 'r/a.csv': 'b,k,,succeeded,,200,\n' },
  ],
])('%s is refused', async (_, objects) => {
  await expect(read(objects)).rejects.toMatchObject({ code: 'STORE_RESPONSE' });
});
