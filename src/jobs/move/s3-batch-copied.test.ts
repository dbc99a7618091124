import { expect, test } from 'vitest';
import type { ListedObject } from '../../stores/object-store.ts';
import { isCopy } from './s3-batch-copied.ts';

const [V1, V2, V3] = ['1'.repeat(32), '2'.repeat(32), '3'.repeat(32)];
const SPAN = { fromMs: 100_000, toMs: 200_000 };

function object(etag: string, lastModifiedMs = 150_000, sizeBytes = 1): ListedObject {
  return { key: 'k', etag, sizeBytes, lastModifiedMs, storageClass: 'STANDARD' };
}

test.each<[string, string, ListedObject | undefined, ListedObject, boolean]>([
  ['the source still is what was copied', V1, object(V2), object(V2, 0), true],
  ['the source was overwritten before and after', V1, object(V3), object(V2), true],
  ['the same, written before the job', V1, object(V3), object(V2, 90_000), false],
  ['the same, written after the job', V1, object(V3), object(V2, 210_000), false],
  ['the source is as it was: someone else wrote the target', V1, object(V1), object(V2), false],
  ['the source is gone', V1, undefined, object(V2), false],
  ['a source of parts gets another ETag', `${V1}-2`, object(`${V1}-2`), object(V2), true],
  ['a source of parts, another size', `${V1}-2`, object(`${V1}-2`), object(V2, 150_000, 2), false],
])('%s', (_, etag, source, target, expected) => {
  expect(isCopy({ etag }, source, target, SPAN)).toBe(expected);
});

test('where S3 does not tell when the job ran, only the ETag of the source counts', () => {
  expect(isCopy({ etag: V1 }, object(V3), object(V2), undefined)).toBe(false);
  expect(isCopy({ etag: V1 }, object(V2), object(V2), undefined)).toBe(true);
});
