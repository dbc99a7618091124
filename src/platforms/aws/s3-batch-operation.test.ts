/** Which operation of S3 Batch makes the copies of a move. */

import { describe, expect, test } from 'vitest';
import {
  type BatchFacts,
  type BatchRule,
  batchOperationFor,
  prependedFolderOf,
} from './s3-batch-operation.ts';

const FACTS: BatchFacts = {
  onAws: true,
  serverSide: true,
  drivenByRows: false,
  keepTags: true,
  lambda: false,
};
const prefix = (from: string, to: string): BatchRule => ({ kind: 'prefix', from, to });

describe('batchOperationFor', () => {
  test.each([
    ['the same keys', [prefix('', '')], {}, 'S3PutObjectCopy', /put a folder/],
    ['the same prefix', [prefix('image/', 'image/')], {}, 'S3PutObjectCopy', /no conditions/],
    ['a folder before the key', [prefix('image/', 'old/image/')], {}, 'S3PutObjectCopy', /put a folder/],
    [
      'several folders',
      [prefix('a/', 'x/a/'), prefix('b/', 'y/z/b/')],
      {},
      'S3PutObjectCopy',
      /put a folder/,
    ],
    ['another prefix', [prefix('image/', 'avatar/')], {}, 'LambdaInvoke', /"image\/" becomes "avatar\/"/],
    [
      'something before the key that is no folder',
      [prefix('image/', 'old-image/')],
      {},
      'LambdaInvoke',
      /old-image/,
    ],
    ['a slash before the key', [prefix('image/', '/image/')], {}, 'LambdaInvoke', /\/image/],
    ['one rule of two', [prefix('a/', 'x/a/'), prefix('b/', 'c/')], {}, 'LambdaInvoke', /"b\/"/],
    ['a pattern', [{ kind: 'pattern' }], {}, 'LambdaInvoke', /pattern/],
    ['tags left behind', [prefix('', '')], { keepTags: false }, 'LambdaInvoke', /tags/],
    ['a function given', [prefix('', '')], { lambda: true }, 'LambdaInvoke', /only to absent targets/],
    ['another store', [prefix('', '')], { onAws: false }, 'none', /AWS only/],
    ['streamed copies', [prefix('', '')], { serverSide: false }, 'none', /streamed/],
    ['rows that drive', [prefix('', '')], { drivenByRows: true }, 'none', /--by listing/],
  ] as const)('%s', (_, rules, facts, operation, why) => {
    const decision = batchOperationFor([...rules], { ...FACTS, ...facts });
    expect(decision.operation).toBe(operation);
    expect(decision.why).toMatch(why);
  });

  test.each([
    ['a/b', 'a/b', ''],
    ['a/b', 'x/a/b', 'x/'],
    ['a/b', 'x/y/a/b', 'x/y/'],
    ['b', 'x-b', undefined],
    ['b', '/b', undefined],
    ['b', 'c', undefined],
  ])('%s to %s', (source, target, folder) => {
    expect(prependedFolderOf(source, target)).toBe(folder);
  });
});
