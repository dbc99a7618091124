import { describe, expect, test } from 'vitest';
import { type EstimateInput, estimateRequests, estimateTime } from './plan-estimate.ts';

const MILLION: EstimateInput = {
  drivenByRows: false,
  objects: 1_000_000,
  copies: 1_000_000,
  partedCopies: 0,
  parts: 0,
  furtherProofs: 0,
  pages: 1000,
  serverSide: true,
  acl: false,
  deletes: 1_000_000,
  conditionalDelete: 'batch',
  sourcePrefixes: 1,
  targetPrefixes: 1,
};

const counted = (input: EstimateInput) =>
  Object.fromEntries(estimateRequests(input).map(({ kind, count }) => [kind, count]));

describe('estimateRequests', () => {
  test('a copy an object, listings and deletions a thousand at a time, and no HEAD', () => {
    expect(counted(MILLION)).toEqual({ COPY: 1_000_000, LIST: 4001, DELETE: 1000 });
  });

  test('a million copies cost five dollars, their deletion nothing', () => {
    const usd = Object.fromEntries(estimateRequests(MILLION).map((request) => [request.kind, request.usd]));
    expect(usd['COPY']).toBeCloseTo(5);
    expect(usd['LIST']).toBeCloseTo(0.02);
    expect(usd['DELETE']).toBe(0);
  });

  test('parts, streams, ACLs, weak ETags and single deletes cost more', () => {
    expect(counted({ ...MILLION, partedCopies: 10, parts: 100 })['COPY']).toBe(1_000_000 - 10 + 100 + 20);
    expect(counted({ ...MILLION, serverSide: false })).toMatchObject({
      PUT: 1_000_000,
      GET: 1_000_000,
      HEAD: 1_000_000,
    });
    expect(counted({ ...MILLION, furtherProofs: 5 })['HEAD']).toBe(10);
    expect(counted({ ...MILLION, acl: true })).toMatchObject({ GET: 1_000_000, PUT: 1_000_000 });
    expect(counted({ ...MILLION, conditionalDelete: 'single' })['DELETE']).toBe(1_000_000);
    expect(counted({ ...MILLION, conditionalDelete: 'none' })['LIST']).toBe(5001);
  });

  test('jobs of S3 Batch cost a quarter, and a dollar a million tasks; what is copied in parts is in none', () => {
    const input = { ...MILLION, partedCopies: 10, parts: 100, byJobs: true };
    const usd = Object.fromEntries(estimateRequests(input).map((request) => [request.kind, request.usd]));
    expect(counted(input)).toMatchObject({ 'BATCH JOB': 1, 'BATCH TASK': 999_990, LIST: 4001 + 2000 });
    expect(usd).toMatchObject({ 'BATCH JOB': 0.25, 'BATCH TASK': expect.closeTo(0.99999) });
    expect(counted({ ...MILLION, copies: 0, byJobs: true })).not.toHaveProperty('BATCH JOB');
  });

  test('driven by rows nothing is listed', () => {
    expect(counted({ ...MILLION, drivenByRows: true })).toEqual({
      COPY: 1_000_000,
      HEAD: 3_000_000,
      DELETE: 1000,
    });
  });
});

describe('estimateTime', () => {
  test('100 million copies and deletions on one prefix take at least 15.9 hours', () => {
    const many = { ...MILLION, objects: 1e8, copies: 1e8, deletes: 1e8 };
    expect(estimateTime(many).floorSeconds / 3600).toBeCloseTo(15.87, 2);
    expect(estimateTime(many).likelySeconds).toBeUndefined();
  });

  test('a slow store makes it longer than the floor, a quick one never shorter', () => {
    const slow = estimateTime({ ...MILLION, headMs: 100 });
    expect(slow.likelySeconds!).toBeGreaterThan(slow.floorSeconds);
    const quick = estimateTime({ ...MILLION, headMs: 0.01 });
    expect(quick.likelySeconds!).toBeCloseTo(quick.floorSeconds);
  });
});
