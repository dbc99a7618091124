import { expect, test } from 'vitest';
import { ByteBudget } from './byte-budget.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('never more than the budget at once, in the order of asking', async () => {
  const budget = new ByteBudget(10);
  let held = 0;
  let most = 0;
  const order: number[] = [];
  const take = (bytes: number, id: number) =>
    budget.within(bytes, async () => {
      order.push(id);
      held += Math.min(bytes, 10);
      most = Math.max(most, held);
      await settle();
      held -= Math.min(bytes, 10);
    });
  await Promise.all([take(6, 1), take(6, 2), take(1, 3), take(99, 4), take(4, 5), take(4, 6)]);
  expect(order).toEqual([1, 2, 3, 4, 5, 6]);
  expect(most).toBe(10);
  expect(held).toBe(0);
});

test('what fails gives its share back', async () => {
  const budget = new ByteBudget(1);
  const failing = budget.within(1, async () => {
    throw new Error('no');
  });
  const next = budget.within(1, async () => 'went on');
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('went on');
});
