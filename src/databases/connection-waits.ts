/** Waits for connections of a pool, which end when the pool is closed: drivers leave such waits open for ever. */

import { LongshoreError } from '../errors.ts';

export class ConnectionWaits<C> {
  readonly #giveBack: (connection: C) => void;
  readonly #waiting = new Set<() => void>();
  #closed = false;

  /** @param giveBack takes a connection that came when nobody waited for it any more */
  constructor(giveBack: (connection: C) => void) {
    this.#giveBack = giveBack;
  }

  /**
   * The connection that `connect` comes up with.
   * @throws the signal's reason, DATABASE_FAILED when the pool is closed, and what `connect` rejects with
   */
  async wait(
    connect: () => Promise<C>,
    doing: { readonly action: string; readonly database: string },
    signal: AbortSignal | undefined,
  ): Promise<C> {
    const closed = () =>
      new LongshoreError('DATABASE_FAILED', `Cannot ${doing.action}: the database was closed meanwhile`, {
        context: { database: doing.database },
      });
    signal?.throwIfAborted();
    if (this.#closed) throw closed();
    const waited = Promise.withResolvers<C>();
    let over = false;
    const end = () => {
      over = true;
      waited.reject(signal?.aborted ? signal.reason : closed());
    };
    this.#waiting.add(end);
    signal?.addEventListener('abort', end, { once: true });
    connect().then((connection) => {
      if (over) this.#giveBack(connection);
      else waited.resolve(connection);
    }, waited.reject);
    try {
      return await waited.promise;
    } finally {
      this.#waiting.delete(end);
      signal?.removeEventListener('abort', end);
    }
  }

  /** Ends every wait, and those still to come. */
  close(): void {
    this.#closed = true;
    for (const end of this.#waiting) end();
  }
}
