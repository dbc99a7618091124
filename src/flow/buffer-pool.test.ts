import { expect, test } from 'vitest';
import { BufferPool } from './buffer-pool.ts';

test('what was given back is used again, and nothing is lent twice', () => {
  const pool = new BufferPool(8, 1);
  const [first, second] = [pool.take(), pool.take()];
  expect(first.buffer).not.toBe(second.buffer);
  expect(first).toHaveLength(8);
  pool.give(first.subarray(2, 4));
  pool.give(first);
  expect(pool.take()).toBe(first);
  expect(pool.take()).not.toBe(first);
});

test('what is of others, or more than is kept, is left alone', () => {
  const pool = new BufferPool(8, 1);
  const other = Buffer.alloc(8);
  pool.give(other);
  expect(pool.take()).not.toBe(other);
  const [first, second] = [pool.take(), pool.take()];
  pool.give(first);
  pool.give(second);
  expect(pool.take()).toBe(first);
  expect(pool.take()).not.toBe(second);
});
