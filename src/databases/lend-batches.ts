/** Turns a function that pushes batches, while it holds a connection, into an iterable that is pulled. */

/**
 * Runs `produce` and yields what it emits, one batch at a time: `emit` resolves when the batch was taken, with
 * false where the reader has stopped and `produce` should end. Ends when `produce` has ended, so that the
 * connection is back in its pool.
 */
export async function* lendBatches<T>(
  produce: (emit: (batch: T) => Promise<boolean>) => Promise<void>,
): AsyncGenerator<T> {
  let taken = Promise.withResolvers<boolean>();
  let offered = Promise.withResolvers<T | undefined>();
  let stopped = false;
  const emit = (batch: T): Promise<boolean> => {
    if (stopped) return Promise.resolve(false);
    taken = Promise.withResolvers<boolean>();
    offered.resolve(batch);
    return taken.promise;
  };
  const done = produce(emit).then(
    () => offered.resolve(undefined),
    (error: unknown) => offered.reject(error),
  );
  try {
    for (;;) {
      const batch = await offered.promise;
      if (batch === undefined) return;
      yield batch;
      offered = Promise.withResolvers<T | undefined>();
      taken.resolve(true);
    }
  } finally {
    stopped = true;
    taken.resolve(false);
    await done;
    // A failure after the reader stopped has nobody to hear it.
    offered.promise.catch(() => {});
  }
}
