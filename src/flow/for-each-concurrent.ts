/** Runs an async function over items with bounded concurrency; a slow consumer stops the producer. */

/**
 * Takes an item only when a place is free. After the first error nothing more is taken; what runs is waited for,
 * then the error is thrown.
 */
export async function forEachConcurrent<T>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let failed: { error: unknown } | undefined;
  let finished = false;
  let turn: Promise<unknown> = Promise.resolve();
  const take = (): Promise<IteratorResult<T> | undefined> => {
    const mine = turn.then(async () => {
      if (finished || failed !== undefined) return undefined;
      const result = await iterator.next();
      if (result.done === true) finished = true;
      return result;
    });
    turn = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  };
  const lane = async (): Promise<void> => {
    try {
      for (;;) {
        const result = await take();
        if (result === undefined || result.done === true) return;
        await work(result.value);
      }
    } catch (error) {
      failed ??= { error };
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
  if (failed !== undefined) {
    if (!finished) await iterator.return?.(undefined);
    throw failed.error;
  }
}

/** The same, with a signal for the work that the first error aborts, too: what runs need not be waited for to its end. */
export async function forEachUntilError<T>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  await forEachConcurrent(items, limit, async (item) => {
    try {
      stopped.throwIfAborted();
      await work(item, stopped);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
}

/** The same over an array, without the cost of an iterator; results in the order of the items. */
export async function mapConcurrent<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  let failed: { error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    while (next < items.length && failed === undefined) {
      const index = next++;
      try {
        results[index] = await work(items[index]!, index);
      } catch (error) {
        failed ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (failed !== undefined) throw failed.error;
  return results;
}
