import { describe, expect, it } from 'vitest';
import { lendBatches } from './lend-batches.ts';

describe('lendBatches', () => {
  it('makes no more than the reader takes', async () => {
    let made = 0;
    const batches = lendBatches<number>(async (emit) => {
      while (made < 10 && (await emit(++made)));
    });
    const taken: number[] = [];
    for await (const batch of batches) {
      taken.push(batch);
      await new Promise((resolve) => setImmediate(resolve));
      expect(made).toBe(taken.length);
    }
    expect(taken).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('tells the producer that the reader stopped, and waits for its end', async () => {
    let ended = false;
    for await (const _ of lendBatches<number>(async (emit) => {
      expect(await emit(1)).toBe(false);
      expect(await emit(2)).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 5));
      ended = true;
    })) {
      break;
    }
    expect(ended).toBe(true);
  });

  it("throws the producer's error to the reader, after what came before it", async () => {
    const taken: number[] = [];
    const reading = (async () => {
      for await (const batch of lendBatches<number>(async (emit) => {
        await emit(1);
        throw new Error('broken');
      })) {
        taken.push(batch);
      }
    })();
    await expect(reading).rejects.toThrow('broken');
    expect(taken).toEqual([1]);
  });

  it('ends when nothing comes, and keeps an error after the reader stopped to itself', async () => {
    for await (const _ of lendBatches<number>(async () => {})) expect.unreachable();
    for await (const _ of lendBatches<number>(async (emit) => {
      if (!(await emit(1))) throw new Error('late');
    })) {
      break;
    }
  });
});
