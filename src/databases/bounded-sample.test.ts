import { expect, it } from 'vitest';
import { boundedSample } from './bounded-sample.ts';
import type { ColumnFacts } from './database.ts';

const column = { within: 'text' } as ColumnFacts;

function taker(characters: number): { asked: number[]; take: (count: number) => Promise<string[]> } {
  const asked: number[] = [];
  const value = 'x'.repeat(characters);
  return {
    asked,
    take: async (count) => {
      asked.push(count);
      return new Array<string>(count).fill(value);
    },
  };
}

it('takes as many values as asked for where they are small', async () => {
  const { take, asked } = taker(100);
  expect(await boundedSample(column, 10_000, take)).toHaveLength(10_000);
  expect(asked).toEqual([16, 10_000]);
});

it('takes fewer where they are large', async () => {
  expect(await boundedSample(column, 10_000, taker(450_000).take)).toHaveLength(74);
  const huge = taker(5_000_000);
  expect(await boundedSample(column, 10_000, huge.take)).toHaveLength(16);
  expect(huge.asked).toEqual([16]);
});

it('does not look first where values are single references or there are none', async () => {
  const single = taker(100);
  await boundedSample({ ...column, within: 'value' }, 1000, single.take);
  expect(single.asked).toEqual([1000]);
  expect(await boundedSample(column, 1000, async () => [])).toEqual([]);
});
